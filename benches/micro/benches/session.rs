//! What an upload costs without a network: both requests made up and both answers understood, over a
//! transport that answers at once.

use std::sync::Arc;
use std::time::Duration;

use gcs_uploader::content::{Content, RandomContent, Seed};
use gcs_uploader::gcs::clock::SystemClock;
use gcs_uploader::gcs::credentials::NoCredentials;
use gcs_uploader::gcs::transport::{Body, Method, Request, Response, Transport, TransportError};
use gcs_uploader::gcs::{
    Bucket, Client, Endpoint, NewObject, Observer, RetryConfig, Uploaded, Uploader as _,
};

const NAME: &str = "0199-object";
const MIB: u64 = 1 << 20;

fn main() {
    divan::main();
}

/// A store that takes everything, and reads what it is sent.
struct Obliging {
    crc32c: String,
    size: u64,
}

impl Transport for Obliging {
    fn send(&self, request: &Request<'_>) -> Result<Response, TransportError> {
        if request.method == Method::Post {
            let location = Some("http://store/upload/o?upload_id=1".to_owned());
            return Ok(Response { status: 200, location, ..Response::default() });
        }
        if let Body::Rest { content, offset, observer } = request.body {
            drain(content, offset, observer);
        }
        let Self { crc32c, size } = self;
        let body = format!(
            r#"{{"kind":"storage#object","bucket":"bucket","name":"{NAME}","size":"{size}",
            "crc32c":"{crc32c}","generation":"1","contentType":"application/octet-stream"}}"#
        );
        Ok(Response { status: 200, body: body.into_bytes(), ..Response::default() })
    }

    fn interrupt(&self) {}
}

fn drain(content: &dyn Content, mut offset: u64, observer: &dyn Observer) {
    let mut buffer = vec![0; 126 << 10];
    while let Ok(count @ 1..) = content.read_at(offset, &mut buffer) {
        observer.sent(count as u64);
        offset += count as u64;
    }
}

#[divan::bench(args = [0, 1 << 10, MIB, 64 * MIB])]
fn upload(bencher: divan::Bencher, size: u64) {
    let content = RandomContent::new(Seed::new(1), size);
    let transport = Obliging { crc32c: content.crc32c().to_string(), size };
    let client = Client::new(Bucket {
        endpoint: Endpoint::emulator("http://store").expect("an endpoint"),
        name: "bucket".to_owned(),
        retry: RetryConfig::default(),
        transport: Arc::new(transport),
        tokens: Arc::new(NoCredentials),
        clock: Arc::new(SystemClock::default()),
    });
    let object = NewObject {
        name: NAME.to_owned(),
        content_type: "application/octet-stream".to_owned(),
        metadata: [("seed".to_owned(), "0".repeat(32))].into(),
    };
    bencher.bench_local(|| -> Uploaded {
        let outcome = client.upload(&object, &content, Duration::from_secs(60), &());
        outcome.expect("an upload that nothing hinders")
    });
}

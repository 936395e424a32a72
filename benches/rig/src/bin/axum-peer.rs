//! A small upload server as many would write it: axum in front, hyper's client behind, a session and
//! one streamed PUT for each upload, the CRC32C summed up on the way and compared with the answer's.
//!
//! `--tuned` is the same with what a look at a profile suggests: a fast generator in place of
//! ChaCha12, and larger buffers.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering::Relaxed};
use std::task::{Context, Poll};

use axum::body::Bytes;
use axum::extract::{Query, State};
use axum::http::{Method, Request, StatusCode, header};
use axum::routing::{get, post};
use axum::{Json, Router};
use clap::Parser;
use gcs_uploader_rig::crc32c_text;
use http_body_util::{BodyExt as _, Either, Full};
use hyper::body::{Body, Frame, SizeHint};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use rand::rngs::{SmallRng, StdRng};
use rand::{Rng as _, SeedableRng as _};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::net::TcpListener;

/// An upload server with axum and hyper.
#[derive(Parser)]
struct Options {
    /// Where to listen.
    #[arg(long, default_value = "127.0.0.1:0")]
    listen: String,
    /// The store's URL.
    #[arg(long)]
    store: String,
    /// A fast generator, and large buffers.
    #[arg(long)]
    tuned: bool,
}

type Content = Either<Full<Bytes>, Random>;
type Failure = (StatusCode, String);

struct Server {
    client: Client<HttpConnector, Content>,
    store: String,
    tuned: bool,
    number: AtomicU64,
}

#[derive(Deserialize)]
struct Order {
    size: u64,
}

#[tokio::main]
async fn main() -> io::Result<()> {
    let options = Options::parse();
    let mut connector = HttpConnector::new();
    connector.set_nodelay(true);
    let mut builder = Client::builder(TokioExecutor::new());
    builder.pool_max_idle_per_host(1024);
    if options.tuned {
        builder.http1_max_buf_size(1 << 20).http1_writev(true);
    }
    let server = Server {
        client: builder.build(connector),
        store: options.store,
        tuned: options.tuned,
        number: AtomicU64::new(0),
    };
    let router = Router::new()
        .route("/api/upload-random", post(upload))
        .route("/api/health", get(async || Json(json!({"status": "ok"}))))
        .with_state(Arc::new(server));
    let listener = TcpListener::bind(&options.listen).await?;
    println!("http://{}", listener.local_addr()?);
    let listener = axum::serve::ListenerExt::tap_io(listener, |stream| {
        let _ = stream.set_nodelay(true);
    });
    axum::serve(listener, router).await
}

async fn upload(
    State(server): State<Arc<Server>>,
    Query(Order { size }): Query<Order>,
) -> Result<(StatusCode, Json<Value>), Failure> {
    let name = format!("object-{}", server.number.fetch_add(1, Relaxed));
    let session = start(&server, &name).await?;
    let sum = Arc::new(AtomicU32::new(0));
    let content = Random::new(size, server.tuned, Arc::clone(&sum));
    let request = Request::put(session).body(Either::Right(content)).map_err(bad_gateway)?;
    let response = server.client.request(request).await.map_err(bad_gateway)?;
    let body = response.into_body().collect().await.map_err(bad_gateway)?.to_bytes();
    let object: Value = serde_json::from_slice(&body).map_err(bad_gateway)?;
    if object["size"] != size.to_string() || object["crc32c"] != crc32c_text(sum.load(Relaxed)) {
        return Err(bad_gateway("the object is another one"));
    }
    Ok((StatusCode::CREATED, Json(object)))
}

async fn start(server: &Server, name: &str) -> Result<String, Failure> {
    let url = format!("{}/upload/storage/v1/b/bucket/o?uploadType=resumable", server.store);
    let metadata = json!({"name": name, "contentType": "application/octet-stream"}).to_string();
    let request = Request::builder()
        .method(Method::POST)
        .uri(url)
        .header(header::CONTENT_TYPE, "application/json")
        .body(Either::Left(Full::from(metadata)))
        .map_err(bad_gateway)?;
    let response = server.client.request(request).await.map_err(bad_gateway)?;
    let location = response.headers().get(header::LOCATION).and_then(|value| value.to_str().ok());
    let session = location.ok_or_else(|| bad_gateway("no session"))?.to_owned();
    // So that its connection is used again.
    response.into_body().collect().await.map_err(bad_gateway)?;
    Ok(session)
}

fn bad_gateway(error: impl ToString) -> Failure {
    (StatusCode::BAD_GATEWAY, error.to_string())
}

/// Random bytes, and their sum as far as they were taken.
struct Random {
    generator: Generator,
    left: u64,
    piece: usize,
    sum: Arc<AtomicU32>,
}

enum Generator {
    ChaCha12(Box<StdRng>),
    Xoshiro(SmallRng),
}

impl Random {
    fn new(size: u64, tuned: bool, sum: Arc<AtomicU32>) -> Self {
        let mut seeds = rand::rng();
        match tuned {
            true => {
                let generator = Generator::Xoshiro(SmallRng::from_rng(&mut seeds));
                Self { generator, left: size, piece: 256 << 10, sum }
            }
            false => {
                let generator = Generator::ChaCha12(Box::new(StdRng::from_rng(&mut seeds)));
                Self { generator, left: size, piece: 64 << 10, sum }
            }
        }
    }
}

impl Body for Random {
    type Data = Bytes;
    type Error = std::convert::Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        let count = self.piece.min(usize::try_from(self.left).unwrap_or(usize::MAX));
        if count == 0 {
            return Poll::Ready(None);
        }
        let mut bytes = vec![0; count];
        match &mut self.generator {
            Generator::ChaCha12(generator) => generator.fill_bytes(&mut bytes),
            Generator::Xoshiro(generator) => generator.fill_bytes(&mut bytes),
        }
        self.left -= count as u64;
        self.sum.store(crc32c::crc32c_append(self.sum.load(Relaxed), &bytes), Relaxed);
        Poll::Ready(Some(Ok(Frame::data(bytes.into()))))
    }

    fn is_end_stream(&self) -> bool {
        self.left == 0
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.left)
    }
}

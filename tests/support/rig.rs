//! A stand-in for Cloud Storage with faults to order, and a client of it.

use gcs_uploader::content::{Content as _, RandomContent, Seed};
use gcs_uploader::emulator::{Action, Break, Config, Emulator, RequestKind, Rule, StoreKind};
use gcs_uploader::gcs::{Client, UploadError, Uploaded, Window};

use super::engine;

pub struct Rig {
    pub emulator: Emulator,
    pub client: Client,
    /// The window of uploads whose bytes come once.
    streamed: Option<Window>,
}

impl Rig {
    pub fn new() -> Self {
        let emulator = Emulator::start(Config {
            listen: ([127, 0, 0, 1], 0).into(),
            store: StoreKind::Memory,
            buckets: vec!["bucket".into()],
        })
        .unwrap();
        let client = engine::client(emulator.addr());
        Self { emulator, client, streamed: None }
    }

    /// A rig on which these faults are ordered.
    pub fn with(rules: impl IntoIterator<Item = Rule>) -> Self {
        let rig = Self::new();
        rules.into_iter().for_each(|rule| rig.emulator.faults().inject(rule));
        rig
    }

    /// A rig whose uploads are streams.
    pub fn streamed(mut self) -> Self {
        self.streamed = Some(Window::DEFAULT);
        self
    }

    pub fn upload(&self, size: u64) -> Result<Uploaded, UploadError> {
        let Some(window) = self.streamed else {
            return engine::upload(&self.client, "object", 1, size);
        };
        let content = RandomContent::new(Seed::new(1), size);
        let mut source = engine::Once {
            content: &content,
            pieces: 64 << 10,
            announced: None,
            fails_at: None,
            read: 0,
        };
        engine::upload_stream(&self.client, "object", &mut source, window)
    }

    /// The upload succeeds, and exactly its object is there, whole; no fault is left over, and no
    /// request was made that the protocol does not allow.
    pub fn succeeds(&self, size: u64) -> Uploaded {
        let uploaded = self.upload(size).unwrap_or_else(|error| panic!("{size}: {error}"));
        let content = RandomContent::new(Seed::new(1), size);
        let [object] = &self.emulator.objects("bucket")[..] else { panic!("one object") };
        assert_eq!((object.size, object.crc32c), (size, content.crc32c().value()));
        assert_eq!(uploaded.object.generation, object.generation.to_string());
        self.was_orderly();
        uploaded
    }

    /// The upload fails, says that nothing was left behind, and nothing was.
    pub fn fails(&self, size: u64) -> UploadError {
        let error = self.upload(size).expect_err("the upload fails");
        assert!(error.absent, "{error}");
        assert!(self.emulator.objects("bucket").is_empty(), "{error}");
        self.was_orderly();
        error
    }

    fn was_orderly(&self) {
        assert_eq!(self.emulator.faults().pending(), [], "every fault has happened");
        assert_eq!(self.emulator.faults().violations(), [], "every request was legal");
    }
}

pub fn status(status: u16) -> Action {
    Action::Status { status, retry_after: None }
}

/// The connection is reset before anything is done.
pub fn reset() -> Action {
    reset_after(0)
}

/// The connection is reset when this much of the body has come.
pub fn reset_after(bytes: u64) -> Action {
    Action::BreakAfterRequestBytes { bytes, with: Break::Reset }
}

/// The status comes when this much of the body has come, and the connection ends.
pub fn status_after(bytes: u64, status: u16) -> Action {
    Action::RespondAfterRequestBytes { bytes, status, with: Break::Reset }
}

pub fn on_start(action: Action) -> Rule {
    Rule::on(RequestKind::Start, action)
}

pub fn on_data(action: Action) -> Rule {
    Rule::on(RequestKind::Data, action)
}

pub fn on_status(action: Action) -> Rule {
    Rule::on(RequestKind::Status, action)
}

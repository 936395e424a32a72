//! The bounded queue in which uploads wait for a worker.

use crossbeam_channel::{Receiver, SendTimeoutError, Sender, TrySendError, bounded};
use std::time::Instant;

use crate::http::prefer::Respond;
use crate::http::request::Request;
use crate::http::request_id::RequestId;
use crate::server::admission::UploadPermit;
use crate::server::auth::Principal;
use crate::server::uploads::file_request::FileUploadRequest;
use crate::server::uploads::random_request::RandomUploadRequest;
use crate::server::uploads::registry::UploadHandle;

/// An accepted upload.
#[derive(Debug)]
pub(crate) struct Job {
    pub(crate) client: Client,
    pub(crate) upload: UploadRequest,
    pub(crate) handle: UploadHandle,
    /// Held until the client has its response, or until the end if it had one long before.
    pub(crate) permit: UploadPermit,
}

/// Client of an upload.
#[derive(Debug)]
pub(crate) enum Client {
    /// A request that awaits its response.
    Waiting(Box<Request>),
    /// The client has a response already, which says where to look (RFC 7240, `respond-async`).
    Detached(RequestId),
}

impl Client {
    /// Returns the id of the request.
    pub(crate) fn request_id(&self) -> &RequestId {
        match self {
            Self::Waiting(request) => &request.id,
            Self::Detached(id) => id,
        }
    }
}

/// Request for an upload, by the source of its bytes.
#[derive(Debug)]
pub(crate) enum UploadRequest {
    /// Random bytes that the server generates.
    Random(RandomUploadRequest),
    /// Bytes that the client sends.
    File(FileUploadRequest),
}

impl UploadRequest {
    /// Returns the principal; `None` where tokens are not required.
    pub(crate) fn principal(&self) -> Option<&Principal> {
        match self {
            Self::Random(request) => request.principal.as_ref(),
            Self::File(request) => request.principal.as_ref(),
        }
    }

    /// Returns the size of the object, if it is known beforehand.
    pub(crate) fn size(&self) -> Option<u64> {
        match self {
            Self::Random(request) => Some(request.size.as_u64()),
            Self::File(request) => request.content_length(),
        }
    }

    /// Returns the time of the response. A client that sends a file waits until it is stored.
    pub(crate) fn respond(&self) -> Respond {
        match self {
            Self::Random(request) => request.respond,
            Self::File(_) => Respond::WhenDone,
        }
    }
}

#[derive(Debug)]
enum Message {
    Upload(Box<Job>),
    Stop,
}

#[derive(Debug)]
pub(crate) struct Queue {
    sender: Sender<Message>,
    receiver: Receiver<Message>,
}

impl Queue {
    /// Creates a queue for `depth` uploads. With 0, an upload is accepted only if a worker waits.
    pub(crate) fn new(depth: usize) -> Self {
        let (sender, receiver) = bounded(depth);
        Self { sender, receiver }
    }

    /// Returns how many uploads wait.
    pub(crate) fn len(&self) -> usize {
        self.receiver.len()
    }

    /// Adds a job, or returns it if the queue is full.
    pub(crate) fn try_push(&self, job: Job) -> Result<(), Box<Job>> {
        match self.sender.try_send(Message::Upload(Box::new(job))) {
            Ok(()) => Ok(()),
            Err(TrySendError::Full(message) | TrySendError::Disconnected(message)) => match message
            {
                Message::Upload(job) => Err(job),
                Message::Stop => Ok(()),
            },
        }
    }

    /// Waits for the next job; `None` if the worker is to stop.
    pub(crate) fn pop(&self) -> Option<Box<Job>> {
        match self.receiver.recv() {
            Ok(Message::Upload(job)) => Some(job),
            Ok(Message::Stop) | Err(_) => None,
        }
    }

    /// Removes one job that still waits.
    pub(crate) fn try_pop(&self) -> Option<Box<Job>> {
        self.receiver.try_iter().find_map(|message| match message {
            Message::Upload(job) => Some(job),
            Message::Stop => None,
        })
    }

    /// Stops this many workers. Those that are busy beyond `deadline` are not stopped.
    pub(crate) fn stop_workers(&self, count: usize, deadline: Instant) {
        for _ in 0..count {
            match self.sender.send_deadline(Message::Stop, deadline) {
                Ok(()) => {}
                Err(SendTimeoutError::Timeout(_) | SendTimeoutError::Disconnected(_)) => return,
            }
        }
    }
}

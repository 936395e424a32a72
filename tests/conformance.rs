//! What Google holds its own client libraries to: the retry conformance scenarios for
//! `storage.objects.insert` with a precondition, and for resumable uploads
//! (<https://docs.cloud.google.com/storage/docs/retry-strategy>), for objects of every kind of size,
//! whether their bytes can be had again or come once.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on ends")]

mod support;

use gcs_uploader::emulator::{Action, Rule, Target};
use gcs_uploader::gcs::ErrorKind;
use support::rig::{Rig, on_data, on_start, reset, reset_after, status, status_after};

const KIB: u64 = 1 << 10;
const MIB: u64 = 1 << 20;
const SIZES: [u64; 7] = [0, 1, 256 * KIB, 256 * KIB + 1, MIB, 9 * MIB, 20 * MIB];

/// Two stores with these faults: one for content that can be had again, one for a stream.
fn both(rules: impl IntoIterator<Item = Rule> + Clone) -> [Rig; 2] {
    [Rig::with(rules.clone()), Rig::with(rules).streamed()]
}

/// The same two faults on the two first tries of the start, and of the data.
fn survives_both(first: fn() -> Action, second: fn() -> Action) {
    for on in [on_start as fn(Action) -> Rule, on_data] {
        for size in SIZES {
            // An empty object's data and its status query are one and the same request.
            for rig in both([on(first()), on(second())]) {
                rig.succeeds(size);
            }
        }
    }
}

#[test]
fn retries_after_503_and_503() {
    survives_both(|| status(503), || status(503));
}

#[test]
fn retries_after_reset_and_reset() {
    survives_both(reset, reset);
}

#[test]
fn retries_after_reset_and_503() {
    survives_both(reset, || status(503));
}

#[test]
fn gives_up_at_once_on_400_and_401() {
    for code in [400, 401] {
        for size in SIZES {
            for rig in both([on_start(status(code))]) {
                let error = rig.fails(size);
                assert_eq!((error.kind, error.status), (ErrorKind::Refused, Some(code)));
                assert_eq!(error.retried, 0);
            }
        }
    }
}

#[test]
fn gives_up_on_400_and_401_that_come_after_a_fault() {
    for code in [400, 401] {
        for fault in [reset, || status(503)] {
            for size in SIZES {
                for rig in both([on_start(fault()), on_start(status(code))]) {
                    let error = rig.fails(size);
                    assert_eq!((error.status, error.retried), (Some(code), 1));
                }
            }
        }
    }
}

#[test]
fn gives_up_on_400_and_401_in_the_middle_of_the_transfer() {
    for code in [400, 401] {
        for size in SIZES {
            for rig in both([on_data(status(code))]) {
                assert_eq!(rig.fails(size).status, Some(code));
            }
        }
    }
}

#[test]
fn a_resumable_upload_survives_a_reset_and_then_503() {
    for size in SIZES {
        let any = |action| Rule::on(Target::Any, action);
        for rig in both([any(reset()), any(status(503))]) {
            rig.succeeds(size);
        }
    }
}

#[test]
fn a_resumable_upload_survives_408() {
    for size in SIZES {
        for on in [on_start as fn(Action) -> Rule, on_data] {
            for rig in both([on(status(408))]) {
                rig.succeeds(size);
            }
        }
    }
}

#[test]
fn a_resumable_upload_survives_503_after_256_kib() {
    for size in SIZES.into_iter().filter(|&size| size > 256 * KIB) {
        for rig in both([on_data(status_after(256 * KIB, 503))]) {
            assert_eq!(rig.succeeds(size).resumed, 1);
        }
    }
}

#[test]
fn a_resumable_upload_survives_503_after_8_mib_and_then_408() {
    for size in SIZES.into_iter().filter(|&size| size > 8 * MIB) {
        let rules = [on_data(status_after(8 * MIB, 503)), on_data(status(408))];
        let uploaded = Rig::with(rules).succeeds(size);
        assert_eq!(uploaded.resumed, 2);
    }
}

#[test]
fn a_resumable_upload_survives_a_reset_after_8_mib() {
    for size in SIZES.into_iter().filter(|&size| size > 8 * MIB) {
        let uploaded = Rig::with([on_data(reset_after(8 * MIB))]).succeeds(size);
        assert!(uploaded.bytes_sent < size + 9 * MIB, "{} of {size}", uploaded.bytes_sent);
    }
}

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| gcs_uploader::server::fuzz::upload_id(data));

//! The query of an upload: `size`, once or not at all, and nothing else.
//!
//! A parameter that is not known is refused and not ignored, so that a misspelt one is noticed.

use url::form_urlencoded;

use super::Config;
use super::access::without_tokens;
use super::problem::{self, Problem, quoted};
use crate::content::ByteSize;

/// How large the upload is to be.
pub(super) fn size(query: Option<&str>, config: &Config) -> Result<ByteSize, Problem> {
    let mut size = None;
    for (name, value) in form_urlencoded::parse(query.unwrap_or_default().as_bytes()) {
        if name != "size" {
            let detail = format!("{} is no parameter; there is size.", quoted(&name));
            return Err(bad_parameter(&name, detail));
        }
        let parsed = value
            .parse::<ByteSize>()
            .map_err(|error| bad_parameter("size", format!("size: {error}.")))?;
        if size.replace(parsed).is_some() {
            return Err(bad_parameter("size", "size is there more than once."));
        }
    }
    let size = size.unwrap_or(config.upload_size);
    match size <= config.max_upload_size {
        true => Ok(size),
        false => Err(too_large(size, config.max_upload_size)),
    }
}

fn bad_parameter(name: &str, detail: impl Into<String>) -> Problem {
    let name: String = without_tokens(name).chars().take(60).collect();
    Problem::new(&problem::BAD_PARAMETER, detail).with("parameter", name)
}

fn too_large(size: ByteSize, maximum: ByteSize) -> Problem {
    let detail = format!("size is {size}, and {maximum} is the maximum.");
    Problem::new(&problem::SIZE_TOO_LARGE, detail).with("maximum", maximum.as_u64())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::tests::config;
    use super::*;

    proptest! {
        #[test]
        fn no_query_is_taken_for_more_than_the_maximum(query in "([a-zA-Z0-9=&+;%_.-]|\\PC){0,40}") {
            let config = config();
            if let Ok(size) = size(Some(&query), &config) {
                prop_assert!(size <= config.max_upload_size);
            }
        }

        #[test]
        fn any_size_up_to_the_maximum_is_taken_as_it_is(bytes in 0_u64..=16 << 20) {
            let size = size(Some(&format!("size={bytes}")), &config());
            prop_assert_eq!(size.unwrap().as_u64(), bytes);
        }
    }
}

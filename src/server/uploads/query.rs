//! The query of an upload: parameters that are known, each once or not at all, and nothing else.
//!
//! A parameter that is not known is refused and not ignored, so that a misspelt one is noticed.

use std::borrow::Cow;

use url::form_urlencoded;

use crate::content::ByteSize;
use crate::redact::without_tokens;
use crate::server::Config;
use crate::server::problem::{self, Problem, quoted};

/// How large a random file is to be.
pub(crate) fn size(query: Option<&str>, config: &Config) -> Result<ByteSize, Problem> {
    let [size] = parameters(query, ["size"])?;
    let size = match size {
        Some(text) => text
            .parse::<ByteSize>()
            .map_err(|error| bad_parameter("size", format!("size: {error}.")))?,
        None => config.upload_size,
    };
    match size <= config.max_upload_size {
        true => Ok(size),
        false => Err(too_large(size, config.max_upload_size)),
    }
}

/// What is asked of a file's name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct FileQuery {
    pub(crate) name: Option<String>,
    pub(crate) naming: Naming,
}

/// What becomes of a name that may be taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Naming {
    /// It stays as it is.
    AsIs,
    /// It is made one that is not.
    Unique,
}

/// How a file is to be named.
pub(crate) fn file(query: Option<&str>) -> Result<FileQuery, Problem> {
    let [name, unique] = parameters(query, ["name", "unique"])?;
    let naming = match unique.as_deref() {
        None | Some("0" | "false") => Naming::AsIs,
        Some("1" | "true") => Naming::Unique,
        Some(_) => return Err(bad_parameter("unique", "unique is 1 or 0.")),
    };
    Ok(FileQuery { name: name.map(Cow::into_owned), naming })
}

/// The values of the parameters of these names.
fn parameters<'a, const N: usize>(
    query: Option<&'a str>,
    names: [&str; N],
) -> Result<[Option<Cow<'a, str>>; N], Problem> {
    let mut values = [const { None }; N];
    for (name, value) in form_urlencoded::parse(query.unwrap_or_default().as_bytes()) {
        let Some(known) = names.iter().position(|known| *known == name) else {
            let known = names.join(", ");
            let detail = format!("{} is no parameter; there is {known}.", quoted(&name));
            return Err(bad_parameter(&name, detail));
        };
        if values[known].replace(value).is_some() {
            return Err(bad_parameter(&name, format!("{name} is there more than once.")));
        }
    }
    Ok(values)
}

pub(crate) fn bad_parameter(name: &str, detail: impl Into<String>) -> Problem {
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

    use super::*;
    use crate::server::tests::config;

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

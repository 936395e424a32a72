//! Query of an upload: known parameters, each at most once.
//!
//! Unknown parameters are refused, so that a misspelt one is noticed.

use std::borrow::Cow;

use url::form_urlencoded;

use crate::content::ByteSize;
use crate::redact::without_tokens;
use crate::server::config::Config;
use crate::server::problem::{self, Problem, quoted};

/// Parameters of an upload of random bytes.
pub(crate) const RANDOM_PARAMETERS: [&str; 1] = ["size"];

/// Parameters of an upload of a file.
pub(crate) const FILE_PARAMETERS: [&str; 2] = ["name", "unique"];

/// Parses the size of a random file.
pub(crate) fn size(query: Option<&str>, config: &Config) -> Result<ByteSize, Problem> {
    let [size] = parameters(query, RANDOM_PARAMETERS)?;
    let size = match size {
        Some(text) => text
            .parse::<ByteSize>()
            .map_err(|error| invalid_parameter("size", format!("size: {error}.")))?,
        None => config.upload_size,
    };
    if size <= config.max_upload_size {
        Ok(size)
    } else {
        Err(too_large(size, config.max_upload_size))
    }
}

/// Parameters about the name of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct FileQuery {
    pub(crate) name: Option<String>,
    pub(crate) naming: Naming,
}

/// Use of a name that may be taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Naming {
    /// Use the name as it is.
    AsIs,
    /// Make the name unique.
    Unique,
}

/// Parses the parameters about the name of a file.
pub(crate) fn file(query: Option<&str>) -> Result<FileQuery, Problem> {
    let [name, unique] = parameters(query, FILE_PARAMETERS)?;
    let naming = match unique.as_deref() {
        None | Some("0" | "false") => Naming::AsIs,
        Some("1" | "true") => Naming::Unique,
        Some(_) => return Err(invalid_parameter("unique", "unique must be 1 or 0.")),
    };
    Ok(FileQuery { name: name.map(Cow::into_owned), naming })
}

/// Returns the values of the parameters with these names.
fn parameters<'a, const N: usize>(
    query: Option<&'a str>,
    names: [&str; N],
) -> Result<[Option<Cow<'a, str>>; N], Problem> {
    let mut values = [const { None }; N];
    for (name, value) in form_urlencoded::parse(query.unwrap_or_default().as_bytes()) {
        let Some(known) = names.iter().position(|known| *known == name) else {
            let known = names.join(", ");
            let detail = format!("Unknown parameter {}; expected: {known}.", quoted(&name));
            return Err(invalid_parameter(&name, detail));
        };
        if values[known].replace(value).is_some() {
            return Err(invalid_parameter(
                &name,
                format!("The parameter {name} was sent more than once."),
            ));
        }
    }
    Ok(values)
}

pub(crate) fn invalid_parameter(name: &str, detail: impl Into<String>) -> Problem {
    let name: String = without_tokens(name).chars().take(60).collect();
    Problem::new(&problem::BAD_PARAMETER, detail).with("parameter", name)
}

fn too_large(size: ByteSize, maximum: ByteSize) -> Problem {
    let detail = format!("size is {size}; the maximum is {maximum}.");
    Problem::new(&problem::SIZE_TOO_LARGE, detail).with("maximum", maximum.as_u64())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::server::tests::config;

    proptest! {
        #[test]
        fn size_never_exceeds_the_maximum(query in "([a-zA-Z0-9=&+;%_.-]|\\PC){0,40}") {
            let config = config();
            if let Ok(size) = size(Some(&query), &config) {
                prop_assert!(size <= config.max_upload_size);
            }
        }

        #[test]
        fn size_up_to_the_maximum_is_accepted(bytes in 0_u64..=16 << 20) {
            let size = size(Some(&format!("size={bytes}")), &config());
            prop_assert_eq!(size.unwrap().as_u64(), bytes);
        }
    }
}

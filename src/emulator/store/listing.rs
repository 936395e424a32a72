//! Paginated listing of a bucket:
//! <https://docs.cloud.google.com/storage/docs/json_api/v1/objects/list>.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::emulator::error::ApiError;
use crate::emulator::http::QueryParams;
use crate::emulator::object::Object;

/// The maximum and default page size.
const MAX_RESULTS: u64 = 1000;

/// The parameters of a list request.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(in crate::emulator) struct ListQuery {
    prefix: String,
    delimiter: Option<String>,
    start_offset: String,
    end_offset: Option<String>,
    max_results: usize,
    /// The last name or common prefix of the previous page.
    after: Option<String>,
}

/// One page of a listing.
pub(in crate::emulator) struct Listing {
    pub(in crate::emulator) objects: Vec<Arc<Object>>,
    pub(in crate::emulator) prefixes: Vec<String>,
    pub(in crate::emulator) next_page_token: Option<String>,
}

impl ListQuery {
    pub(in crate::emulator) fn from_query(query: &QueryParams) -> Result<Self, ApiError> {
        let text = |name: &str| query.get(name).filter(|text| !text.is_empty()).map(str::to_owned);
        let max_results = match query.number("maxResults")? {
            Some(0) => return Err(ApiError::invalid("maxResults must be at least 1.")),
            wanted => wanted.unwrap_or(MAX_RESULTS).min(MAX_RESULTS) as usize,
        };
        let after = match query.get("pageToken").filter(|token| !token.is_empty()) {
            None => None,
            Some(token) => Some(
                URL_SAFE_NO_PAD
                    .decode(token)
                    .ok()
                    .and_then(|bytes| String::from_utf8(bytes).ok())
                    .ok_or_else(|| ApiError::invalid("Invalid value for pageToken."))?,
            ),
        };
        Ok(Self {
            prefix: text("prefix").unwrap_or_default(),
            delimiter: text("delimiter"),
            start_offset: text("startOffset").unwrap_or_default(),
            end_offset: text("endOffset"),
            max_results,
            after,
        })
    }

    /// Returns the part of a name that groups it with others: up to and including the first delimiter
    /// after the prefix.
    fn common_prefix<'a>(&self, name: &'a str) -> Option<&'a str> {
        let delimiter = self.delimiter.as_deref()?;
        let rest = &name[self.prefix.len()..];
        let end = rest.find(delimiter)? + delimiter.len();
        Some(&name[..self.prefix.len() + end])
    }
}

pub(super) fn list(objects: &BTreeMap<String, Arc<Object>>, query: &ListQuery) -> Listing {
    let from = query.prefix.as_str().max(query.start_offset.as_str());
    let start = match query.after.as_deref().filter(|after| *after >= from) {
        Some(after) => Bound::Excluded(after),
        None => Bound::Included(from),
    };
    let matching = objects
        .range::<str, _>((start, Bound::Unbounded))
        .take_while(|(name, _)| name.starts_with(&query.prefix) || name.as_str() < &*query.prefix)
        .take_while(|(name, _)| query.end_offset.as_ref().is_none_or(|end| *name < end))
        .filter(|(name, _)| name.starts_with(&query.prefix));
    let mut page = Listing { objects: Vec::new(), prefixes: Vec::new(), next_page_token: None };
    let mut last = query.after.clone();
    for (name, object) in matching {
        let common = query.common_prefix(name);
        if common.is_some() && common == last.as_deref() {
            continue;
        }
        if page.objects.len() + page.prefixes.len() == query.max_results {
            page.next_page_token = last.map(|last| URL_SAFE_NO_PAD.encode(last));
            return page;
        }
        match common {
            Some(prefix) => page.prefixes.push(prefix.to_owned()),
            None => page.objects.push(Arc::clone(object)),
        }
        last = Some(common.unwrap_or(name).to_owned());
    }
    page
}

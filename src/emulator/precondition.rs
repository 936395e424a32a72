//! Preconditions: a request takes effect only if the live object has, or does not have, a given
//! version
//! (<https://docs.cloud.google.com/storage/docs/request-preconditions>).

use super::error::ApiError;
use super::http::QueryParams;

/// The preconditions of a request.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Preconditions {
    generation_match: Option<u64>,
    generation_not_match: Option<u64>,
    metageneration_match: Option<u64>,
    metageneration_not_match: Option<u64>,
}

/// The version of an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct ObjectVersion {
    pub(super) generation: u64,
    pub(super) metageneration: u64,
}

impl Preconditions {
    pub(super) fn from_query(query: &QueryParams) -> Result<Self, ApiError> {
        Ok(Self {
            generation_match: query.number("ifGenerationMatch")?,
            generation_not_match: query.number("ifGenerationNotMatch")?,
            metageneration_match: query.number("ifMetagenerationMatch")?,
            metageneration_not_match: query.number("ifMetagenerationNotMatch")?,
        })
    }

    /// Checks the preconditions of a write. A missing object has generation 0.
    pub(super) fn check_write(&self, live: Option<ObjectVersion>) -> Result<(), ApiError> {
        self.check_match(live)?;
        match self.failed_not_match(live) {
            Some(message) => Err(ApiError::condition_not_met(message)),
            None => Ok(()),
        }
    }

    /// Checks the preconditions of a read. A version excluded by a `NotMatch` condition gives 304
    /// (Not Modified) in place of an error.
    pub(super) fn check_read(&self, live: ObjectVersion) -> Result<(), ApiError> {
        self.check_match(Some(live))?;
        match self.failed_not_match(Some(live)) {
            Some(message) => Err(ApiError::new(304, "notModified", message)),
            None => Ok(()),
        }
    }

    fn check_match(&self, live: Option<ObjectVersion>) -> Result<(), ApiError> {
        let generation = live.map_or(0, |live| live.generation);
        let metageneration = live.map(|live| live.metageneration);
        if self.generation_match.is_some_and(|wanted| wanted != generation) {
            return Err(ApiError::condition_not_met(
                "At least one of the pre-conditions you specified did not hold: \
                 ifGenerationMatch.",
            ));
        }
        if self.metageneration_match.is_some_and(|wanted| Some(wanted) != metageneration) {
            return Err(ApiError::condition_not_met(
                "At least one of the pre-conditions you specified did not hold: \
                 ifMetagenerationMatch.",
            ));
        }
        Ok(())
    }

    fn failed_not_match(&self, live: Option<ObjectVersion>) -> Option<&'static str> {
        let generation = live.map_or(0, |live| live.generation);
        let metageneration = live.map(|live| live.metageneration);
        if self.generation_not_match == Some(generation) {
            return Some(
                "At least one of the pre-conditions you specified did not hold: \
                 ifGenerationNotMatch.",
            );
        }
        if self.metageneration_not_match.is_some()
            && self.metageneration_not_match == metageneration
        {
            return Some(
                "At least one of the pre-conditions you specified did not hold: \
                 ifMetagenerationNotMatch.",
            );
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIVE: Option<ObjectVersion> = Some(ObjectVersion { generation: 7, metageneration: 1 });

    fn status(query: &str, live: Option<ObjectVersion>) -> u16 {
        let preconditions = Preconditions::from_query(&QueryParams::parse(query)).unwrap();
        preconditions.check_write(live).map_or_else(|error| error.status, |()| 200)
    }

    #[test]
    fn generation_zero_means_no_live_object() {
        assert_eq!(status("ifGenerationMatch=0", None), 200);
        assert_eq!(status("ifGenerationMatch=0", LIVE), 412);
        assert_eq!(status("ifGenerationNotMatch=0", None), 412);
        assert_eq!(status("ifGenerationNotMatch=0", LIVE), 200);
    }

    #[test]
    fn conditions_compare_with_the_live_version() {
        assert_eq!(status("ifGenerationMatch=7", LIVE), 200);
        assert_eq!(status("ifGenerationMatch=8", LIVE), 412);
        assert_eq!(status("ifGenerationMatch=7", None), 412);
        assert_eq!(status("ifGenerationNotMatch=7", LIVE), 412);
        assert_eq!(status("ifMetagenerationMatch=1", LIVE), 200);
        assert_eq!(status("ifMetagenerationMatch=2", LIVE), 412);
        assert_eq!(status("ifMetagenerationMatch=1", None), 412);
        assert_eq!(status("ifMetagenerationNotMatch=1", LIVE), 412);
        assert_eq!(status("ifMetagenerationNotMatch=1", None), 200);
    }

    #[test]
    fn read_of_an_unmodified_version_is_304() {
        let query = QueryParams::parse("ifGenerationNotMatch=7");
        let preconditions = Preconditions::from_query(&query).unwrap();
        let live = LIVE.unwrap();
        assert_eq!(preconditions.check_read(live).unwrap_err().status, 304);
    }

    #[test]
    fn conditions_that_are_not_numbers_are_rejected() {
        for query in ["ifGenerationMatch=x", "ifGenerationMatch=-1", "ifGenerationMatch="] {
            let error = Preconditions::from_query(&QueryParams::parse(query)).expect_err(query);
            assert_eq!(error.status, 400);
        }
    }
}

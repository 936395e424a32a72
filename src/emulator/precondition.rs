//! Preconditions: a request is carried out only if the object is, or is not, a certain one
//! (<https://docs.cloud.google.com/storage/docs/request-preconditions>).

use super::error::ApiError;
use super::http::Query;

/// What a request demands of the live object of its name.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Preconditions {
    generation_match: Option<u64>,
    generation_not_match: Option<u64>,
    metageneration_match: Option<u64>,
    metageneration_not_match: Option<u64>,
}

/// Which version of an object is live.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Version {
    pub(super) generation: u64,
    pub(super) metageneration: u64,
}

impl Preconditions {
    pub(super) fn from_query(query: &Query) -> Result<Self, ApiError> {
        Ok(Self {
            generation_match: query.number("ifGenerationMatch")?,
            generation_not_match: query.number("ifGenerationNotMatch")?,
            metageneration_match: query.number("ifMetagenerationMatch")?,
            metageneration_not_match: query.number("ifMetagenerationNotMatch")?,
        })
    }

    /// For a request that writes. No live object counts as generation 0.
    pub(super) fn check(&self, live: Option<Version>) -> Result<(), ApiError> {
        self.check_match(live)?;
        match self.unwanted(live) {
            Some(what) => Err(ApiError::condition_not_met(what)),
            None => Ok(()),
        }
    }

    /// For a request that reads: having the unwanted version is no error, but "not modified".
    pub(super) fn check_read(&self, live: Version) -> Result<(), ApiError> {
        self.check_match(Some(live))?;
        match self.unwanted(Some(live)) {
            Some(what) => Err(ApiError::new(304, "notModified", what)),
            None => Ok(()),
        }
    }

    fn check_match(&self, live: Option<Version>) -> Result<(), ApiError> {
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

    fn unwanted(&self, live: Option<Version>) -> Option<&'static str> {
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

    const LIVE: Option<Version> = Some(Version { generation: 7, metageneration: 1 });

    fn status(query: &str, live: Option<Version>) -> u16 {
        let preconditions = Preconditions::from_query(&Query::parse(query)).unwrap();
        preconditions.check(live).map_or_else(|error| error.status, |()| 200)
    }

    #[test]
    fn zero_stands_for_no_live_object() {
        assert_eq!(status("ifGenerationMatch=0", None), 200);
        assert_eq!(status("ifGenerationMatch=0", LIVE), 412);
        assert_eq!(status("ifGenerationNotMatch=0", None), 412);
        assert_eq!(status("ifGenerationNotMatch=0", LIVE), 200);
    }

    #[test]
    fn names_one_version() {
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
    fn a_reader_that_has_the_version_is_told_so() {
        let query = Query::parse("ifGenerationNotMatch=7");
        let preconditions = Preconditions::from_query(&query).unwrap();
        let live = LIVE.unwrap();
        assert_eq!(preconditions.check_read(live).unwrap_err().status, 304);
    }

    #[test]
    fn refuses_what_is_no_number() {
        for query in ["ifGenerationMatch=x", "ifGenerationMatch=-1", "ifGenerationMatch="] {
            let error = Preconditions::from_query(&Query::parse(query)).expect_err(query);
            assert_eq!(error.status, 400);
        }
    }
}

//! What the exit status says, as the help and the manual have it.

use std::fmt::Write as _;

/// Each status, and what it stands for.
pub(super) const MEANINGS: [(u8, &str); 4] = [
    (0, "all is done; a server that was told to stop has ended in order"),
    (1, "something failed, and standard error says what"),
    (2, "the command line or a setting makes no sense, and nothing was begun"),
    (130, "a signal cut an upload short"),
];

/// The end of the help.
pub(super) fn help() -> String {
    MEANINGS.iter().fold("Exit status:".to_owned(), |mut text, (status, meaning)| {
        // A String takes whatever is written to it.
        let _ = write!(text, "\n  {status:<4} {meaning}");
        text
    })
}

//! SIGTERM and SIGINT: the first one asks the server to drain, the second one ends the process.

use std::io;
use std::process;
use std::thread;

use crossbeam_channel::{Receiver, bounded};
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

use crate::server::Stop;

/// Status that a shell reports for a process that SIGINT ended.
const EXIT_INTERRUPTED: i32 = 130;

/// Listens for the signals that end the process. The first is told to the receiver, which belongs
/// to [`Server::run`](crate::server::Server::run); at the second the process exits at once, with 130.
///
/// # Errors
/// When the handlers or their thread cannot be set up.
pub fn stop_on_signals() -> io::Result<Receiver<Stop>> {
    listen(&[SIGTERM, SIGINT], || {
        log::warn!("received a second signal: exiting at once");
        process::exit(EXIT_INTERRUPTED)
    })
}

fn listen(
    signals: &[i32],
    on_second: impl FnOnce() + Send + 'static,
) -> io::Result<Receiver<Stop>> {
    let mut signals = Signals::new(signals)?;
    let (sender, receiver) = bounded(1);
    let wait = move || {
        let mut signals = signals.forever();
        let Some(first) = signals.next() else { return };
        let name = signal_hook::low_level::signal_name(first).unwrap_or("a signal");
        // The server may have ended already.
        let _sent = sender.send(Stop { reason: name });
        if signals.next().is_some() {
            on_second();
        }
    };
    thread::Builder::new().name("signals".to_owned()).spawn(wait)?;
    Ok(receiver)
}

#[cfg(test)]
mod tests {
    use signal_hook::consts::{SIGUSR1, SIGUSR2};
    use signal_hook::low_level::raise;

    use super::*;

    #[test]
    fn the_first_signal_stops_and_the_second_ends() {
        let (ended, ended_end) = bounded(1);
        let stop = listen(&[SIGUSR1, SIGUSR2], move || ended.send(()).unwrap()).unwrap();
        raise(SIGUSR1).unwrap();
        assert_eq!(stop.recv().unwrap().reason, "SIGUSR1");
        assert!(ended_end.is_empty());
        raise(SIGUSR2).unwrap();
        ended_end.recv().unwrap();
    }
}

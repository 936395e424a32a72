//! `gcs-uploader man`: the manual, generated from the same definitions as the help.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Args, Command};
use clap_mangen::Man;
use clap_mangen::roff::{Roff, roman};

use super::{Failure, command, print_line, usage};

const SOURCE: &str = concat!("gcs-uploader ", env!("CARGO_PKG_VERSION"));

/// Empty word in roff: without the quotes, roff would take the next word for the date.
const UNDATED: &str = "\"\"";

/// Write a manual page for each command into a folder: man -l DIR/gcs-uploader.1
#[derive(Args)]
pub(super) struct WriteMan {
    /// Folder to write to; created if it does not exist
    #[arg(value_name = "DIR")]
    dir: PathBuf,
}

impl WriteMan {
    pub(super) fn run(&self) -> Result<ExitCode, Failure> {
        let mut command = command().disable_help_subcommand(true);
        command.build();
        fs::create_dir_all(&self.dir).and_then(|()| write(&command, &self.dir)).map_err(
            |error| Failure::Runtime(format!("cannot write to {}: {error}", self.dir.display())),
        )?;
        Ok(ExitCode::SUCCESS)
    }
}

/// Writes the pages of a command and its subcommands, and prints the path of each.
fn write(command: &Command, dir: &Path) -> io::Result<()> {
    let man = Man::new(command.clone()).date(UNDATED).source(SOURCE);
    let path = dir.join(man.get_filename());
    fs::write(&path, page(&man, command)?)?;
    print_line(&path.display().to_string());
    command.get_subcommands().try_for_each(|subcommand| write(subcommand, dir))
}

fn page(man: &Man, command: &Command) -> io::Result<Vec<u8>> {
    let mut page = Vec::new();
    man.render_title(&mut page)?;
    man.render_name_section(&mut page)?;
    man.render_synopsis_section(&mut page)?;
    man.render_description_section(&mut page)?;
    man.render_options_section(&mut page)?;
    if command.has_subcommands() {
        man.render_subcommands_section(&mut page)?;
    }
    exit_status().to_writer(&mut page)?;
    Ok(page)
}

fn exit_status() -> Roff {
    let mut section = Roff::new();
    section.control("SH", ["EXIT STATUS"]);
    for (status, meaning) in usage::EXIT_STATUSES {
        section.control("TP", []).text([roman(status.to_string())]).text([roman(meaning)]);
    }
    section
}

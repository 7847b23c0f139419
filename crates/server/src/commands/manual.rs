//! `clickledger man` and `clickledger completions`: files for packages, made from the definition of the command line.

use std::io;

use clap::CommandFactory as _;
use clap_mangen::Man;

use super::CommandError;
use crate::config::{Cli, CompletionsOptions, ManOptions};

/// Writes the manual pages of all commands to a folder, or the first page to standard output.
///
/// # Errors
/// Returns an error if the folder or a page cannot be written.
pub fn man(options: &ManOptions) -> Result<(), CommandError> {
    match &options.out {
        Some(folder) => {
            std::fs::create_dir_all(folder).map_err(|error| format!("{}: {error}", folder.display()))?;
            clap_mangen::generate_to(Cli::command(), folder)?;
        }
        None => Man::new(Cli::command()).render(&mut io::stdout())?,
    }
    Ok(())
}

/// Writes a shell's completion script to standard output.
pub fn completions(options: &CompletionsOptions) {
    let mut cli = Cli::command();
    clap_complete::generate(options.shell, &mut cli, "clickledger", &mut io::stdout());
}

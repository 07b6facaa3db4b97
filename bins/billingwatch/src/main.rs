//! The `billingwatch` command: a subcommand each, and a match.
//!
//! What a subcommand does stands in its own module and in the crates it calls; how the words of the
//! command line are read stands in `cli`, how a failure becomes an exit code in `exit`.

mod assignments;
mod backtest;
mod backup;
mod check;
mod cli;
mod completions;
mod config;
mod demo;
mod detectors;
mod exit;
mod export;
mod import;
mod logging;
mod migrate;
mod output;
mod replay;
mod serve;
mod simulate;
mod since;
mod spool;
mod tokens;
mod words;

use clap::Parser;

use cli::{Cli, Command};

fn main() -> std::process::ExitCode {
    let result = match Cli::parse().command {
        Command::Serve(args) => serve::run(&args),
        Command::Demo(args) => demo::run(&args),
        Command::Replay(args) => replay::run(&args),
        Command::Simulate(args) => simulate::run(&args),
        Command::Backtest(args) => backtest::run(&args),
        Command::Export(args) => export::run(&args),
        Command::Import(args) => import::run(&args),
        Command::Backup(args) => backup::run(&args),
        Command::Migrate(args) => migrate::run(&args),
        Command::Tokens(args) => tokens::run(&args),
        Command::Check(args) => check::run(&args),
        Command::Detectors(args) => detectors::run(&args),
        Command::Completions(args) => completions::run(&args),
    };
    exit::code(result)
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_command_line_is_well_formed() {
        <super::Cli as clap::CommandFactory>::command().debug_assert();
    }
}

//! Fast clock: a library that is preloaded into the server, so that its hours pass in minutes, timers included.

use std::fs;
use std::path::Path;

use crate::Outcome;
use crate::ground::run;

/// Source of the library.
const SOURCE: &str = include_str!("clock.c");

/// Compiles the library into this folder and returns the environment of a server whose clock runs at this speed.
pub(super) fn environment(folder: &Path, speed: u32) -> Outcome<[(String, String); 2]> {
    let (source, library) = (folder.join("clock.c"), folder.join("clock.so"));
    fs::write(&source, SOURCE)?;
    let (source, target) = (source.display().to_string(), library.display().to_string());
    run("cc", ["-shared", "-fPIC", "-O2", "-o", &target, &source, "-ldl"])
        .map_err(|error| format!("the fast clock is not compiled: {error}; install a C compiler"))?;
    // Preloaded into a process with another working directory, it needs an absolute path.
    let library = library.canonicalize()?.display().to_string();
    Ok([
        ("LD_PRELOAD".to_owned(), library),
        ("CONSERVE_SPEED".to_owned(), speed.to_string()),
    ])
}

#[cfg(test)]
mod tests {
    use std::process::Command;
    use std::time::Instant;

    use super::*;

    #[test]
    fn a_preloaded_clock_runs_fast_and_waits_pass_fast() {
        let folder = std::env::temp_dir().join(format!("conserve-clock-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        let environment = environment(&folder, 20).unwrap();
        // Python reads and sleeps by clock_gettime and clock_nanosleep, as Rust does.
        let program = "import time; a = time.monotonic(); time.sleep(4); print(time.monotonic() - a)";
        let began = Instant::now();
        let output = Command::new("python3")
            .args(["-c", program])
            .envs(environment)
            .output();
        let took = began.elapsed().as_secs_f64();
        fs::remove_dir_all(&folder).unwrap();
        let printed = String::from_utf8(output.unwrap().stdout).unwrap();
        let simulated: f64 = printed.trim().parse().unwrap();
        assert!(took < 3.0, "{took}");
        assert!((4.0..20.0).contains(&simulated), "{simulated}");
    }
}

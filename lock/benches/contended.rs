//! How long anybody waits when many want the lock.
//!
//!     cargo bench -p posixage-lock --bench contended
//!
//! As one of the tests it counts no further than to 8 × 20.

#[path = "../examples/contender.rs"]
#[allow(dead_code, reason = "its main is not ours")]
mod contender;

use std::{
    error::Error,
    io::{BufRead, BufReader, Read},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

type Outcome<T> = Result<T, Box<dyn Error>>;

fn main() -> Outcome<()> {
    // The benchmark is its own contender.
    if std::env::args().nth(2).is_some() {
        return contender::run(std::env::args_os().skip(1));
    }
    let once = !std::env::args().any(|option| option == "--bench");
    let times = |times| if once { 20 } else { times };
    writers("bare", "a blocking flock", times(2000))?;
    writers("count", "lock + unlock", times(2000))?;
    writer_beside_readers(times(500))
}

fn writers(command: &str, what: &str, times: usize) -> Outcome<()> {
    let root = tempfile::tempdir()?;
    let file = root.path().join("number");
    std::fs::write(&file, "0\n")?;
    let begin = Instant::now();
    let mut children = Vec::new();
    for _ in 0..8 {
        let mut command = contend(root.path(), &[command, &times.to_string()])?;
        children.push(command.arg(&file).spawn()?);
    }
    let mut longest = Duration::ZERO;
    for child in &mut children {
        longest = longest.max(nanoseconds(hear(child)?.trim())?);
        child.wait()?;
    }
    println!(
        "8 processes × {times} × {what}: counted {}, longest wait {:.1} ms in {:.1} s",
        std::fs::read_to_string(&file)?.trim(),
        longest.as_secs_f64() * 1e3,
        begin.elapsed().as_secs_f64(),
    );
    Ok(())
}

fn writer_beside_readers(times: usize) -> Outcome<()> {
    let root = tempfile::tempdir()?;
    let mut readers = Vec::new();
    for _ in 0..6 {
        let mut reader = contend(root.path(), &["read"])?.spawn()?;
        let said = reader.stdout.take().ok_or("no standard output")?;
        BufReader::new(said).read_line(&mut String::new())?;
        readers.push(reader);
    }
    let mut writer = contend(root.path(), &["write", &times.to_string()])?.spawn()?;
    let waits: Result<Vec<_>, _> = hear(&mut writer)?.lines().map(nanoseconds).collect();
    let mut waits = waits?;
    writer.wait()?;
    for reader in &mut readers {
        drop(reader.stdin.take());
        reader.wait()?;
    }
    waits.sort_unstable();
    let at = |part: f64| waits[(waits.len() as f64 * part) as usize].as_secs_f64() * 1e3;
    println!(
        "one writer beside 6 that read in a loop: median {:.1} ms, 99th percentile {:.1} ms",
        at(0.5),
        at(0.99),
    );
    Ok(())
}

fn contend(root: &std::path::Path, arguments: &[&str]) -> Outcome<Command> {
    let mut command = Command::new(std::env::current_exe()?);
    command
        .arg(root)
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped());
    Ok(command)
}

fn hear(child: &mut Child) -> Outcome<String> {
    let mut said = String::new();
    child
        .stdout
        .take()
        .ok_or("no standard output")?
        .read_to_string(&mut said)?;
    Ok(said)
}

fn nanoseconds(text: &str) -> Outcome<Duration> {
    Ok(Duration::from_nanos(text.parse()?))
}

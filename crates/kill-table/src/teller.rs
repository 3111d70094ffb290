//! A child that records and says what was accepted, as its parent has it.

use std::io::Read;
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, ExitStatus, Stdio};
use std::sync::mpsc::{self, Receiver, Sender};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail, ensure};

use crate::shape::Shape;
use crate::subjects::Kind;

/// A child that says nothing for so long hangs.
const BOUND: Duration = Duration::from_secs(60);

/// A process that records; killed when dropped.
pub struct Teller {
    child: Child,
    input: Option<ChildStdin>,
    begun: Receiver<()>,
    listener: Option<JoinHandle<Vec<u64>>>,
    complaint: Option<JoinHandle<String>>,
}

impl Teller {
    /// Starts one that records in `dir`.
    pub fn start(
        program: &Path,
        kind: &Kind,
        shape: Shape,
        dir: &Path,
        orders: &[String],
    ) -> Result<Teller> {
        let mut command = Command::new(program);
        command.args(["--child", kind.name, shape.name()]).arg(dir);
        let mut child = command
            .args(orders)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()?;
        let output = child.stdout.take().context("a child has a pipe")?;
        let mut errors = child.stderr.take().context("a child has a pipe")?;
        let (sender, begun) = mpsc::channel();
        Ok(Teller {
            input: child.stdin.take(),
            child,
            begun,
            listener: Some(thread::spawn(move || hear(output, &sender))),
            complaint: Some(thread::spawn(move || {
                let mut text = String::new();
                // What cannot be read is no complaint.
                let _ = errors.read_to_string(&mut text);
                text
            })),
        })
    }

    /// Waits for its first answer.
    pub fn first(&mut self) -> Result<()> {
        if let Err(error) = self.begun.recv_timeout(BOUND) {
            self.child.kill()?;
            let (_, _, why) = self.ended()?;
            bail!("a child said nothing: {error}: {why}");
        }
        Ok(())
    }

    /// Kills it, which must live.
    pub fn kill(&mut self) -> Result<()> {
        ensure!(self.child.try_wait()?.is_none(), "a child ended by itself");
        Ok(self.child.kill()?)
    }

    /// All that it said before it died.
    pub fn died(mut self) -> Result<Vec<u64>> {
        let (said, status, why) = self.ended()?;
        // A child that reports an error has an exit code; one that dies has none.
        ensure!(status.code().is_none(), "a child failed: {why}");
        Ok(said)
    }

    /// Lets it end in good order; all that it said.
    pub fn finish(mut self) -> Result<Vec<u64>> {
        drop(self.input.take());
        let (said, status, why) = self.ended()?;
        ensure!(status.success(), "a child failed: {why}");
        Ok(said)
    }

    fn ended(&mut self) -> Result<(Vec<u64>, ExitStatus, String)> {
        let status = self.child.wait()?;
        let listener = self.listener.take().context("it ends once")?;
        let said = listener.join();
        let said = said.map_err(|_| anyhow!("a listener panicked"))?;
        let complaint = self.complaint.take().context("it ends once")?;
        let why = complaint.join().unwrap_or_default();
        Ok((said, status, why))
    }
}

impl Drop for Teller {
    fn drop(&mut self) {
        // Both fail if it is gone, which is what they are for.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// All numbers that come through the pipe, which ends with the process.
fn hear(mut output: ChildStdout, begun: &Sender<()>) -> Vec<u64> {
    let mut bytes = Vec::new();
    let mut buffer = [0; 1 << 16];
    while let Ok(length @ 1..) = output.read(&mut buffer) {
        if bytes.is_empty() {
            // Nobody listens any more if the child was too slow.
            let _ = begun.send(());
        }
        bytes.extend_from_slice(buffer.get(..length).unwrap_or_default());
    }
    let (numbers, _) = bytes.as_chunks::<8>();
    numbers
        .iter()
        .map(|bytes| u64::from_le_bytes(*bytes))
        .collect()
}

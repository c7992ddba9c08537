//! A child process that may die in place of this one: how it is found, started, waited for, and limited.
//!
//! Standard input and output of a child are files in memory. A pipe would end this process by SIGPIPE when the child is gone,
//! and would have to be emptied while it runs.
//!
//! The time of a child is processor time ([`Limits`]). On a busy machine a clock would end a child that works, only slowly.

use std::fs::File;
use std::io::{self, Read, Seek, Write};
use std::os::fd::FromRawFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

/// How often a child is asked whether it has ended.
const PAUSE: Duration = Duration::from_millis(2);

/// A child that waits for something takes less than this share of one processor. A child that works takes more, unless a
/// hundred others work beside it.
const IDLE_SHARE: u32 = 100;

/// How long a child may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Processor time of all its threads together.
    pub work: Duration,
    /// Time by the clock in which it hardly works: it waits for what never comes.
    pub idle: Duration,
    /// Time by the clock, whatever it does.
    pub whole: Duration,
}

/// How a child ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// By itself, with a status, or unknown to us because another part of the process has collected it.
    Exit(Option<i32>),
    /// By this signal.
    Signal(i32),
    /// Its time was up, so it was killed.
    TimeUp,
}

/// Runs `command` with `input` as its standard input, within `limits`. Returns how it ended and what it wrote to standard
/// output.
///
/// The command is started by posix_spawn: a process with many threads or much memory does not copy itself.
///
/// # Errors
/// No child could be started, or there is no memory for what goes in and out.
pub fn run(command: &mut Command, input: &[&[u8]], limits: &Limits) -> io::Result<(End, Vec<u8>)> {
    let mut from = memory_file()?;
    for part in input {
        from.write_all(part)?;
    }
    from.rewind()?;
    let mut output = memory_file()?;
    let child = command
        .stdin(Stdio::from(from))
        .stdout(Stdio::from(output.try_clone()?))
        .stderr(Stdio::null())
        .spawn()?;
    let end = wait(child, limits);
    let mut said = Vec::new();
    output.rewind()?;
    output.read_to_end(&mut said)?;
    Ok((end, said))
}

/// Waits for a child. Where the process has its children collected by somebody else, an unknown child has ended.
fn wait(mut child: Child, limits: &Limits) -> End {
    let mut time = Time::begin(&child);
    loop {
        match child.try_wait() {
            Ok(Some(status)) => return end(status),
            Err(_) => return End::Exit(None),
            Ok(None) if time.is_up(limits) => {
                let _ = child.kill();
                let _ = child.wait();
                return End::TimeUp;
            }
            Ok(None) => std::thread::sleep(PAUSE),
        }
    }
}

/// Time that a child has taken.
struct Time {
    /// Its clock of processor time; none if the system has no such clock.
    clock: Option<libc::clockid_t>,
    began: Instant,
    /// When it was last seen to have worked, and how much it had worked by then.
    active: (Instant, Duration),
}

impl Time {
    fn begin(child: &Child) -> Self {
        let now = Instant::now();
        Self {
            clock: child.id().try_into().ok().and_then(clock_of),
            began: now,
            active: (now, Duration::ZERO),
        }
    }

    fn is_up(&mut self, limits: &Limits) -> bool {
        let now = Instant::now();
        let whole = now.saturating_duration_since(self.began);
        let Some(work) = self.clock.and_then(read_clock) else {
            // Without its clock it is taken to work all the time.
            return whole >= limits.work.min(limits.whole);
        };
        let (since, before) = self.active;
        let idle = now.saturating_duration_since(since);
        if work.saturating_sub(before) >= limits.idle / IDLE_SHARE {
            self.active = (now, work);
        } else if idle >= limits.idle {
            return true;
        }
        work >= limits.work || whole >= limits.whole
    }
}

/// Returns the clock of a process's processor time.
fn clock_of(process: libc::pid_t) -> Option<libc::clockid_t> {
    let mut clock = 0;
    // SAFETY: `clock` outlives the call, which takes any number of a process.
    let error = unsafe { libc::clock_getcpuclockid(process, &raw mut clock) };
    (error == 0).then_some(clock)
}

/// Reads a clock of processor time.
fn read_clock(clock: libc::clockid_t) -> Option<Duration> {
    let mut time = libc::timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    // SAFETY: `time` outlives the call, which takes any clock.
    if unsafe { libc::clock_gettime(clock, &raw mut time) } != 0 {
        return None;
    }
    let nanoseconds = u32::try_from(time.tv_nsec).ok()?;
    Some(Duration::new(u64::try_from(time.tv_sec).ok()?, nanoseconds))
}

/// Returns the processor time that the calling thread has taken so far.
pub fn thread_time() -> Option<Duration> {
    read_clock(libc::CLOCK_THREAD_CPUTIME_ID)
}

fn end(status: ExitStatus) -> End {
    match status.signal() {
        Some(signal) => End::Signal(signal),
        None => End::Exit(status.code()),
    }
}

/// Makes a file that lies in memory and has no name.
fn memory_file() -> io::Result<File> {
    // SAFETY: the name is a string that ends with a zero; the call has no other conditions.
    let file = unsafe { libc::memfd_create(c"gstdetect".as_ptr(), libc::MFD_CLOEXEC) };
    if file < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the descriptor was made just now, so nobody else owns it.
    Ok(unsafe { File::from_raw_fd(file) })
}

/// Returns the file that this code was loaded from: the plugin, or the program that it is linked into.
pub fn own_file() -> Option<PathBuf> {
    // SAFETY: all zeros are a value of this type, with null pointers.
    let mut found: libc::Dl_info = unsafe { std::mem::zeroed() };
    let code = own_file as fn() -> Option<PathBuf>;
    // SAFETY: `found` outlives the call, which takes any address.
    let known = unsafe { libc::dladdr(code as *const libc::c_void, &raw mut found) } != 0;
    if known && !found.dli_fname.is_null() {
        // SAFETY: the linker's name of an object that stays loaded, for it holds this code.
        let name = unsafe { std::ffi::CStr::from_ptr(found.dli_fname) };
        let path = Path::new(std::ffi::OsStr::from_bytes(name.to_bytes()));
        if path.extension().is_some_and(|end| end == "so") {
            return path.canonicalize().ok();
        }
    }
    // The linker's name of a program is what its parent called it.
    std::env::current_exe().ok()
}

/// Limits this process, a child, to `address_space` bytes and `seconds` of processor time. It ends with its parent, leaves no
/// core file, and is the first to go if memory runs out.
pub fn limit_this_process(address_space: u64, seconds: u64) {
    lower(libc::RLIMIT_AS, address_space);
    lower(libc::RLIMIT_CPU, seconds);
    lower(libc::RLIMIT_CORE, 0);
    // SAFETY: sets a property of this process, from numbers alone.
    unsafe { libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL) };
    let _ = std::fs::write("/proc/self/oom_score_adj", "1000");
}

#[cfg(target_env = "gnu")]
type Resource = libc::__rlimit_resource_t;
#[cfg(not(target_env = "gnu"))]
type Resource = libc::c_int;

/// Lowers a limit of this process. A limit that is lower already stays.
fn lower(resource: Resource, most: u64) {
    let mut limit = libc::rlimit {
        rlim_cur: 0,
        rlim_max: 0,
    };
    // SAFETY: `limit` outlives both calls.
    unsafe {
        if libc::getrlimit(resource, &raw mut limit) == 0 {
            let most = libc::rlim_t::try_from(most).unwrap_or(libc::RLIM_INFINITY);
            limit.rlim_cur = limit.rlim_cur.min(most);
            limit.rlim_max = limit.rlim_max.min(most);
            libc::setrlimit(resource, &raw const limit);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LONG: Limits = limits(20_000, 20_000, 20_000);

    const fn limits(work: u64, idle: u64, whole: u64) -> Limits {
        Limits {
            work: Duration::from_millis(work),
            idle: Duration::from_millis(idle),
            whole: Duration::from_millis(whole),
        }
    }

    fn shell(script: &str) -> Command {
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        command
    }

    #[test]
    fn what_goes_in_comes_out() {
        let large = vec![b'x'; 1 << 20];
        let (end, said) = run(&mut shell("cat"), &[b"a", &large], &LONG).expect("a shell");
        assert_eq!(end, End::Exit(Some(0)));
        assert_eq!(said.len(), large.len() + 1);
        assert_eq!(&said[..2], b"ax");
    }

    #[test]
    fn a_child_that_reads_nothing_ends_as_it_likes() {
        let large = vec![0; 1 << 20];
        let run = |script| run(&mut shell(script), &[&large], &LONG).expect("a shell");
        assert_eq!(
            run("echo said; exit 3"),
            (End::Exit(Some(3)), b"said\n".to_vec())
        );
        assert_eq!(run("kill -FPE $$").0, End::Signal(libc::SIGFPE));
    }

    #[test]
    fn a_child_without_end_is_killed() {
        let began = Instant::now();
        let ended = |script, limits| run(&mut shell(script), &[], &limits).expect("a shell");
        let (works, waits) = (
            "echo began; while :; do :; done",
            "echo began; exec sleep 60",
        );
        for (script, limits) in [
            (works, limits(100, 20_000, 20_000)),
            (waits, limits(20_000, 300, 20_000)),
            (waits, limits(20_000, 20_000, 300)),
        ] {
            let expected = (End::TimeUp, b"began\n".to_vec());
            assert_eq!(ended(script, limits), expected, "{limits:?}");
        }
        assert!(began.elapsed() < LONG.whole);
    }

    #[test]
    fn a_child_that_works_is_not_idle() {
        // It works for longer than it may be idle.
        let script = "i=0; while [ $i -lt 600000 ]; do i=$((i + 1)); done; echo done";
        let limits = limits(20_000, 250, 20_000);
        let (end, said) = run(&mut shell(script), &[], &limits).expect("a shell");
        assert_eq!((end, &said[..]), (End::Exit(Some(0)), &b"done\n"[..]));
    }

    #[test]
    fn a_program_that_is_not_there_is_an_error() {
        let error = run(&mut Command::new("/nowhere/program"), &[], &LONG);
        assert_eq!(error.map_err(|e| e.kind()), Err(io::ErrorKind::NotFound));
    }

    #[test]
    fn own_file_is_a_file() {
        assert!(own_file().is_some_and(|path| path.is_file()));
    }
}

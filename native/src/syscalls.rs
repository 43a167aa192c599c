//! System calls as they are in section 2 of the Linux manual. Every call that can
//! fail returns its result or `-errno`, so that the caller sees the exact reason.

use napi::bindgen_prelude::{Buffer, Int32Array, Uint8Array};
use napi_derive::napi;
use std::ffi::CString;
use std::sync::atomic::{AtomicI32, Ordering};

/// The calling thread's errno(3).
pub fn errno() -> i32 {
    std::io::Error::last_os_error().raw_os_error().unwrap_or(libc::EIO)
}

/// A system call's result, or `-errno`.
pub fn result(value: libc::c_int) -> i32 {
    if value < 0 {
        -errno()
    } else {
        value
    }
}

fn sized_result(value: libc::ssize_t) -> i32 {
    if value < 0 {
        result(-1)
    } else {
        value as i32
    }
}

/// socket(2). The descriptor is always close-on-exec.
#[napi]
pub fn socket(domain: i32, kind: i32, protocol: i32) -> i32 {
    result(unsafe { libc::socket(domain, kind | libc::SOCK_CLOEXEC, protocol) })
}

/// close(2).
#[napi]
pub fn close(fd: i32) -> i32 {
    result(unsafe { libc::close(fd) })
}

/// bind(2) to a `struct sockaddr` given as bytes.
#[napi]
pub fn bind(fd: i32, address: &[u8]) -> i32 {
    result(unsafe { libc::bind(fd, address.as_ptr().cast(), address.len() as u32) })
}

/// connect(2) to a `struct sockaddr` given as bytes. A non-blocking socket returns `-EINPROGRESS`.
#[napi]
pub fn connect(fd: i32, address: &[u8]) -> i32 {
    result(unsafe { libc::connect(fd, address.as_ptr().cast(), address.len() as u32) })
}

/// socket, SO_LINGER 0, SO_MARK, SO_BINDTODEVICE, bind and connect of a non-blocking stream socket, in one call.
/// Returns the descriptor, connected or connecting, or the `-errno` of the step that failed, with nothing left open.
#[napi]
pub fn connect_start(
    address: &[u8],
    bind_address: Option<&[u8]>,
    mark: u32,
    device: Option<String>,
    silent: bool,
) -> i32 {
    if address.len() < 2 {
        return -libc::EINVAL;
    }
    let family = u16::from_ne_bytes([address[0], address[1]]) as i32;
    let fd = socket(family, libc::SOCK_STREAM | libc::SOCK_NONBLOCK, 0);
    if fd < 0 {
        return fd;
    }
    let status = prepare(fd, bind_address, mark, device, silent).and_then(|()| match connect(fd, address) {
        status if status < 0 && status != -libc::EINPROGRESS => Err(status),
        _ => Ok(()),
    });
    match status {
        Ok(()) => fd,
        Err(status) => {
            close(fd);
            status
        }
    }
}

fn prepare(
    fd: i32,
    bind_address: Option<&[u8]>,
    mark: u32,
    device: Option<String>,
    silent: bool,
) -> Result<(), i32> {
    let must = |status: i32| if status < 0 { Err(status) } else { Ok(()) };
    // `struct linger { 1, 0 }`: it closes with RST, and TIME_WAIT does not use up the local ports.
    let mut linger = [0u8; 8];
    linger[..4].copy_from_slice(&1i32.to_ne_bytes());
    must(set_socket_option(fd, libc::SOL_SOCKET, libc::SO_LINGER, &linger))?;
    if silent {
        must(set_socket_option(fd, libc::IPPROTO_TCP, libc::TCP_QUICKACK, &0i32.to_ne_bytes()))?;
    }
    if mark != 0 {
        must(set_socket_option(fd, libc::SOL_SOCKET, libc::SO_MARK, &mark.to_ne_bytes()))?;
    }
    if let Some(name) = device {
        must(set_socket_option(fd, libc::SOL_SOCKET, libc::SO_BINDTODEVICE, name.as_bytes()))?;
    }
    if let Some(local) = bind_address {
        must(set_socket_option(fd, libc::SOL_SOCKET, libc::SO_REUSEADDR, &1i32.to_ne_bytes()))?;
        must(bind(fd, local))?;
    }
    Ok(())
}

/// sendto(2). An empty `address` sends to the connected peer.
#[napi]
pub fn send_to(fd: i32, data: &[u8], address: Option<&[u8]>, flags: Option<i32>) -> i32 {
    let (pointer, length) = match address {
        Some(bytes) if !bytes.is_empty() => (bytes.as_ptr(), bytes.len()),
        _ => (std::ptr::null(), 0),
    };
    sized_result(unsafe {
        libc::sendto(
            fd,
            data.as_ptr().cast(),
            data.len(),
            flags.unwrap_or(0) | libc::MSG_NOSIGNAL,
            pointer.cast(),
            length as u32,
        )
    })
}

/// recvfrom(2) into `into`; the sender's `struct sockaddr` goes to `address_into` when given.
/// Returns the datagram's length (with MSG_TRUNC its true one) or `-errno`.
#[napi]
pub fn receive_from(
    fd: i32,
    mut into: Uint8Array,
    flags: Option<i32>,
    address_into: Option<Uint8Array>,
) -> i32 {
    let buffer = unsafe { into.as_mut() };
    let mut address = address_into;
    let mut length = address.as_ref().map_or(0, |bytes| bytes.len()) as libc::socklen_t;
    let pointer = match address.as_mut() {
        Some(bytes) => unsafe { bytes.as_mut() }.as_mut_ptr(),
        None => std::ptr::null_mut(),
    };
    sized_result(unsafe {
        libc::recvfrom(
            fd,
            buffer.as_mut_ptr().cast(),
            buffer.len(),
            flags.unwrap_or(0),
            pointer.cast(),
            if pointer.is_null() { std::ptr::null_mut() } else { &mut length },
        )
    })
}

/// sendmsg(2) with ready-made control messages. An empty `address` sends to the connected peer.
#[napi]
pub fn send_message(
    fd: i32,
    data: &[u8],
    address: Option<&[u8]>,
    control: Option<&[u8]>,
    flags: i32,
) -> i32 {
    let mut part = libc::iovec { iov_base: data.as_ptr().cast_mut().cast(), iov_len: data.len() };
    let mut message: libc::msghdr = unsafe { std::mem::zeroed() };
    message.msg_iov = &mut part;
    message.msg_iovlen = 1;
    if let Some(bytes) = address.filter(|bytes| !bytes.is_empty()) {
        message.msg_name = bytes.as_ptr().cast_mut().cast();
        message.msg_namelen = bytes.len() as u32;
    }
    if let Some(bytes) = control.filter(|bytes| !bytes.is_empty()) {
        message.msg_control = bytes.as_ptr().cast_mut().cast();
        message.msg_controllen = bytes.len();
    }
    sized_result(unsafe { libc::sendmsg(fd, &message, flags | libc::MSG_NOSIGNAL) })
}

/// recvmsg(2). `lengths` receives the sender address's length, the control messages' length, and msg_flags.
#[napi]
pub fn receive_message(
    fd: i32,
    mut into: Uint8Array,
    mut address_into: Uint8Array,
    mut control_into: Uint8Array,
    mut lengths: Int32Array,
    flags: i32,
) -> i32 {
    let (buffer, address, control, lengths) =
        unsafe { (into.as_mut(), address_into.as_mut(), control_into.as_mut(), lengths.as_mut()) };
    if lengths.len() < 3 {
        return -libc::EINVAL;
    }
    let mut part = libc::iovec { iov_base: buffer.as_mut_ptr().cast(), iov_len: buffer.len() };
    let mut message: libc::msghdr = unsafe { std::mem::zeroed() };
    message.msg_iov = &mut part;
    message.msg_iovlen = 1;
    message.msg_name = address.as_mut_ptr().cast();
    message.msg_namelen = address.len() as u32;
    message.msg_control = control.as_mut_ptr().cast();
    message.msg_controllen = control.len();
    let received = sized_result(unsafe { libc::recvmsg(fd, &mut message, flags) });
    lengths[0] = message.msg_namelen as i32;
    lengths[1] = message.msg_controllen as i32;
    lengths[2] = message.msg_flags;
    received
}

/// read(2) into `into`. Returns the length, 0 at the end, or `-errno`.
#[napi]
pub fn read(fd: i32, mut into: Uint8Array) -> i32 {
    let buffer = unsafe { into.as_mut() };
    sized_result(unsafe { libc::read(fd, buffer.as_mut_ptr().cast(), buffer.len()) })
}

/// setsockopt(2) with the option's value as bytes.
#[napi]
pub fn set_socket_option(fd: i32, level: i32, name: i32, value: &[u8]) -> i32 {
    result(unsafe {
        libc::setsockopt(fd, level, name, value.as_ptr().cast(), value.len() as u32)
    })
}

/// getsockopt(2) of an integer option, such as SO_ERROR. Returns the value (never negative there) or `-errno`.
#[napi]
pub fn get_socket_option(fd: i32, level: i32, name: i32) -> i32 {
    let mut value: libc::c_int = 0;
    let mut length = std::mem::size_of::<libc::c_int>() as libc::socklen_t;
    let status = unsafe {
        libc::getsockopt(fd, level, name, (&mut value as *mut i32).cast(), &mut length)
    };
    if status < 0 {
        result(status)
    } else {
        value
    }
}

/// getsockopt(2) of any option into `into`. Returns the length or `-errno`.
#[napi]
pub fn get_socket_option_bytes(fd: i32, level: i32, name: i32, mut into: Uint8Array) -> i32 {
    let buffer = unsafe { into.as_mut() };
    let mut length = buffer.len() as libc::socklen_t;
    let status =
        unsafe { libc::getsockopt(fd, level, name, buffer.as_mut_ptr().cast(), &mut length) };
    if status < 0 {
        result(status)
    } else {
        length as i32
    }
}

/// SO_ATTACH_FILTER: a classic BPF program as `struct sock_filter` bytes.
#[napi]
pub fn attach_filter(fd: i32, program: &[u8]) -> i32 {
    let instructions = program.len() / std::mem::size_of::<libc::sock_filter>();
    // BPF_MAXINSNS
    if instructions == 0 || instructions > 4096 {
        return -libc::EINVAL;
    }
    let filter = libc::sock_fprog {
        len: instructions as u16,
        filter: program.as_ptr().cast_mut().cast(),
    };
    result(unsafe {
        libc::setsockopt(
            fd,
            libc::SOL_SOCKET,
            libc::SO_ATTACH_FILTER,
            (&raw const filter).cast(),
            std::mem::size_of::<libc::sock_fprog>() as u32,
        )
    })
}

/// ioctl(2) whose argument is a pointer to `argument`, which the kernel may read and write.
#[napi]
pub fn ioctl(fd: i32, request: u32, mut argument: Uint8Array) -> i32 {
    let pointer = unsafe { argument.as_mut() }.as_mut_ptr();
    result(unsafe { libc::ioctl(fd, request as libc::c_ulong, pointer) })
}

/// ioctl(2) of an interface whose `struct ifreq` points to `data`, which the kernel may read and write (ethtool).
#[napi]
pub fn interface_ioctl(fd: i32, request: u32, name: String, mut data: Uint8Array) -> i32 {
    let mut argument: libc::ifreq = unsafe { std::mem::zeroed() };
    if name.len() >= argument.ifr_name.len() {
        return -libc::ENODEV;
    }
    for (place, byte) in argument.ifr_name.iter_mut().zip(name.bytes()) {
        *place = byte as libc::c_char;
    }
    argument.ifr_ifru.ifru_data = unsafe { data.as_mut() }.as_mut_ptr().cast();
    result(unsafe { libc::ioctl(fd, request as libc::c_ulong, &mut argument) })
}

/// getsockname(2): the local `struct sockaddr` as bytes; empty on failure.
#[napi]
pub fn get_socket_name(fd: i32) -> Buffer {
    let mut bytes = vec![0u8; std::mem::size_of::<libc::sockaddr_storage>()];
    let mut length = bytes.len() as libc::socklen_t;
    let status = unsafe { libc::getsockname(fd, bytes.as_mut_ptr().cast(), &mut length) };
    bytes.truncate(if status < 0 { 0 } else { length as usize });
    bytes.into()
}

/// if_nametoindex(3) in the caller's namespace; 0 when there is no such interface.
#[napi]
pub fn interface_index(name: String) -> u32 {
    match CString::new(name) {
        Ok(text) => unsafe { libc::if_nametoindex(text.as_ptr()) },
        Err(_) => 0,
    }
}

/// setns(2) of the calling thread into the network namespace at `path` (such as `/run/netns/a`).
#[napi]
pub fn set_network_namespace(path: String) -> i32 {
    let Ok(text) = CString::new(path) else {
        return -libc::EINVAL;
    };
    unsafe {
        let fd = libc::open(text.as_ptr(), libc::O_RDONLY | libc::O_CLOEXEC);
        if fd < 0 {
            return result(fd);
        }
        let status = result(libc::setns(fd, libc::CLONE_NEWNET));
        libc::close(fd);
        status
    }
}

/// sched_setscheduler(2) of the calling thread: 0 is SCHED_OTHER, 1 SCHED_FIFO, 2 SCHED_RR.
/// SCHED_RESET_ON_FORK is set, so that helper threads and children do not inherit it.
#[napi]
pub fn set_scheduler(policy: i32, priority: i32) -> i32 {
    let parameter = libc::sched_param { sched_priority: priority };
    result(unsafe {
        libc::sched_setscheduler(0, policy | libc::SCHED_RESET_ON_FORK, &parameter)
    })
}

/// sched_setaffinity(2) of the calling thread, and of the threads that it starts afterwards.
#[napi]
pub fn set_processors(processors: Vec<u32>) -> i32 {
    let mut set: libc::cpu_set_t = unsafe { std::mem::zeroed() };
    for processor in processors {
        if processor >= libc::CPU_SETSIZE as u32 {
            return -libc::EINVAL;
        }
        unsafe { libc::CPU_SET(processor as usize, &mut set) };
    }
    result(unsafe { libc::sched_setaffinity(0, std::mem::size_of::<libc::cpu_set_t>(), &set) })
}

/// setrlimit(2) RLIMIT_RTTIME: how long a real-time thread of this process may compute without waiting.
#[napi]
pub fn set_real_time_limit(micros: f64) -> i32 {
    let limit = libc::rlimit { rlim_cur: micros as u64, rlim_max: micros as u64 };
    result(unsafe { libc::setrlimit(libc::RLIMIT_RTTIME, &limit) })
}

/// mlockall(2) with MCL_CURRENT | MCL_FUTURE | MCL_ONFAULT: pages stay once touched; or munlockall(2).
/// Without MCL_ONFAULT the kernel would populate the engine's reserved heap of several gigabytes.
#[napi]
pub fn lock_memory(locked: bool) -> i32 {
    result(unsafe {
        if locked {
            libc::mlockall(libc::MCL_CURRENT | libc::MCL_FUTURE | libc::MCL_ONFAULT)
        } else {
            libc::munlockall()
        }
    })
}

/// madvise(2) MADV_DONTNEED of this program's own code and constants: what only starting needed is given back, the rest
/// comes back from the page cache when it is used.
#[napi]
pub fn release_code() -> i32 {
    let (Ok(maps), Ok(program)) =
        (std::fs::read_to_string("/proc/self/smaps"), std::fs::read_link("/proc/self/exe"))
    else {
        return -libc::ENOENT;
    };
    let program = program.to_string_lossy();
    let mut range = None;
    for line in maps.lines() {
        let first = line.split(' ').next().unwrap_or("");
        if let Some((start, end)) = first.split_once('-') {
            let ours = (line.contains(" r-xp ") || line.contains(" r--p ")) && line.ends_with(program.as_ref());
            range = match (ours, usize::from_str_radix(start, 16), usize::from_str_radix(end, 16)) {
                (true, Ok(start), Ok(end)) => Some((start, end)),
                _ => None,
            };
        }
        // Nothing in it differs from the file (as relocated pointers would), so nothing is lost.
        let pristine = first == "Anonymous:" && line.split_whitespace().nth(1) == Some("0");
        if let (true, Some((start, end))) = (pristine, range) {
            let status = result(unsafe { libc::madvise(start as *mut _, end - start, libc::MADV_DONTNEED) });
            if status < 0 {
                return status;
            }
        }
    }
    0
}

/// inotify_init1(2), non-blocking and close-on-exec.
#[napi]
pub fn inotify_init() -> i32 {
    result(unsafe { libc::inotify_init1(libc::IN_NONBLOCK | libc::IN_CLOEXEC) })
}

/// inotify_add_watch(2). Returns the watch descriptor or `-errno`.
#[napi]
pub fn inotify_add_watch(fd: i32, path: String, mask: u32) -> i32 {
    match CString::new(path) {
        Ok(text) => result(unsafe { libc::inotify_add_watch(fd, text.as_ptr(), mask) }),
        Err(_) => -libc::EINVAL,
    }
}

const NOT_CAUGHT: i32 = -1;
/// The eventfd of each signal that `catch_signal` has taken, by its number.
static CAUGHT: [AtomicI32; 65] = [const { AtomicI32::new(NOT_CAUGHT) }; 65];

/// Only what signal-safety(7) allows, and errno as it was.
extern "C" fn note_signal(number: libc::c_int) {
    let one = 1u64.to_ne_bytes();
    unsafe {
        let before = *libc::__errno_location();
        libc::write(CAUGHT[number as usize].load(Ordering::Relaxed), one.as_ptr().cast(), one.len());
        *libc::__errno_location() = before;
    }
}

/// sigaction(2): from now on signal `number` counts in an eventfd(2), non-blocking, and ends nothing. Returns the
/// descriptor, which is to stay open, or `-errno`.
#[napi]
pub fn catch_signal(number: i32) -> i32 {
    if !(1..CAUGHT.len() as i32).contains(&number) {
        return -libc::EINVAL;
    }
    let fd = result(unsafe { libc::eventfd(0, libc::EFD_NONBLOCK | libc::EFD_CLOEXEC) });
    if fd < 0 {
        return fd;
    }
    CAUGHT[number as usize].store(fd, Ordering::Relaxed);
    let handler: extern "C" fn(libc::c_int) = note_signal;
    let mut action: libc::sigaction = unsafe { std::mem::zeroed() };
    action.sa_sigaction = handler as usize;
    action.sa_flags = libc::SA_RESTART;
    match result(unsafe { libc::sigaction(number, &action, std::ptr::null_mut()) }) {
        status if status < 0 => {
            close(fd);
            status
        }
        _ => fd,
    }
}

/// kill(2) of one process.
#[napi]
pub fn send_signal(pid: i32, number: i32) -> i32 {
    if pid <= 0 {
        return -libc::EINVAL;
    }
    result(unsafe { libc::kill(pid, number) })
}

/// flock(2) LOCK_EX without waiting: the lock is the open file's and ends with it, however its process ends.
#[napi]
pub fn lock_file(fd: i32) -> i32 {
    result(unsafe { libc::flock(fd, libc::LOCK_EX | libc::LOCK_NB) })
}

/// prctl(2) with one numeric argument, such as PR_SET_PDEATHSIG or PR_SET_CHILD_SUBREAPER.
#[napi]
pub fn process_control(option: i32, argument: u32) -> i32 {
    result(unsafe { libc::prctl(option, libc::c_ulong::from(argument), 0, 0, 0) })
}

/// prctl(2) PR_SET_NAME of the calling thread; the kernel keeps 15 bytes.
#[napi]
pub fn set_process_name(name: String) -> i32 {
    match CString::new(name) {
        Ok(text) => result(unsafe { libc::prctl(libc::PR_SET_NAME, text.as_ptr(), 0, 0, 0) }),
        Err(_) => -libc::EINVAL,
    }
}

/// pidfd_open(2): a descriptor that becomes readable when the process ends.
#[napi]
pub fn process_descriptor(pid: i32) -> i32 {
    sized_result(unsafe { libc::syscall(libc::SYS_pidfd_open, pid, 0) } as isize)
}

/// waitpid(2) with WNOHANG of one process: its wait status, `-EAGAIN` while it runs, or `-errno`.
#[napi]
pub fn wait_process(pid: i32) -> i32 {
    if pid <= 0 {
        return -libc::EINVAL;
    }
    let mut status: libc::c_int = 0;
    match unsafe { libc::waitpid(pid, &mut status, libc::WNOHANG) } {
        0 => -libc::EAGAIN,
        ended if ended < 0 => result(ended),
        _ => status,
    }
}

/// clock_gettime(2) of CLOCK_MONOTONIC in microseconds, exact up to 2^53.
#[napi]
pub fn monotonic_micros() -> f64 {
    clock_micros(libc::CLOCK_MONOTONIC)
}

/// clock_gettime(2) of CLOCK_REALTIME in microseconds since 1970: the clock of kernel receive time stamps.
#[napi]
pub fn realtime_micros() -> f64 {
    clock_micros(libc::CLOCK_REALTIME)
}

fn clock_micros(clock: libc::clockid_t) -> f64 {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    unsafe { libc::clock_gettime(clock, &mut time) };
    (time.tv_sec * 1_000_000 + time.tv_nsec / 1_000) as f64
}

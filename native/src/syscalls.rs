//! System calls as they are in section 2 of the Linux manual. Every call that can
//! fail returns its result or `-errno`, so that the caller sees the exact reason.

use napi::bindgen_prelude::{Buffer, Uint8Array};
use napi_derive::napi;

fn result(value: libc::c_int) -> i32 {
    if value < 0 {
        -std::io::Error::last_os_error().raw_os_error().unwrap_or(libc::EIO)
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
    match std::ffi::CString::new(name) {
        Ok(text) => unsafe { libc::if_nametoindex(text.as_ptr()) },
        Err(_) => 0,
    }
}

/// setns(2) of the calling thread into the network namespace at `path` (such as `/run/netns/a`).
#[napi]
pub fn set_network_namespace(path: String) -> i32 {
    let Ok(text) = std::ffi::CString::new(path) else {
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

/// mlockall(2) with MCL_CURRENT | MCL_FUTURE | MCL_ONFAULT: pages stay once touched.
/// Without MCL_ONFAULT the kernel would populate the engine's reserved heap of several gigabytes.
#[napi]
pub fn lock_memory() -> i32 {
    result(unsafe { libc::mlockall(libc::MCL_CURRENT | libc::MCL_FUTURE | libc::MCL_ONFAULT) })
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
    (time.tv_sec as i64 * 1_000_000 + time.tv_nsec as i64 / 1_000) as f64
}

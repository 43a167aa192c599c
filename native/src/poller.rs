//! epoll(7) on a thread of its own. Readiness is handed to JavaScript in batches:
//! one call carries every descriptor that was ready at once.

use napi::bindgen_prelude::*;
use napi::threadsafe_function::{ThreadsafeFunction, ThreadsafeFunctionCallMode, UnknownReturnValue};
use napi_derive::napi;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::Arc;

/// Most descriptors reported in one call.
const BATCH: usize = 512;

type Callback = ThreadsafeFunction<Int32Array, UnknownReturnValue, Int32Array, Status, false, true, 64>;

/// Watches descriptors (level-triggered and one-shot: re-arm with `modify` after handling).
#[napi]
pub struct Poller {
    epoll_fd: i32,
    stopping: Arc<AtomicBool>,
}

#[napi]
impl Poller {
    /// `on_ready` receives `[fd, events, fd, events, …]` with the EPOLL* bits of epoll_ctl(2).
    #[napi(constructor)]
    pub fn new(on_ready: Function<'_, Int32Array, UnknownReturnValue>) -> Result<Self> {
        let epoll_fd = unsafe { libc::epoll_create1(libc::EPOLL_CLOEXEC) };
        if epoll_fd < 0 {
            return Err(Error::from_reason("epoll_create1 failed"));
        }
        let callback: Callback = on_ready
            .build_threadsafe_function::<Int32Array>()
            .weak::<true>()
            .max_queue_size::<64>()
            .build()?;
        let stopping = Arc::new(AtomicBool::new(false));
        let stop = stopping.clone();
        std::thread::Builder::new()
            .name("poller".into())
            .spawn(move || wait_loop(epoll_fd, &stop, &callback))
            .map_err(|error| Error::from_reason(error.to_string()))?;
        Ok(Self { epoll_fd, stopping })
    }

    /// epoll_ctl(2) EPOLL_CTL_ADD with EPOLLONESHOT added. Returns 0 or `-errno`.
    #[napi]
    pub fn add(&self, fd: i32, events: u32) -> i32 {
        self.control(libc::EPOLL_CTL_ADD, fd, events)
    }

    /// Re-arms a descriptor, with EPOLLONESHOT added. Returns 0 or `-errno`.
    #[napi]
    pub fn modify(&self, fd: i32, events: u32) -> i32 {
        self.control(libc::EPOLL_CTL_MOD, fd, events)
    }

    /// Forgets a descriptor. Returns 0 or `-errno`.
    #[napi]
    pub fn remove(&self, fd: i32) -> i32 {
        self.control(libc::EPOLL_CTL_DEL, fd, 0)
    }

    /// Ends the thread within 100 ms.
    #[napi]
    pub fn close(&self) {
        self.stopping.store(true, Ordering::Relaxed);
    }

    fn control(&self, operation: i32, fd: i32, events: u32) -> i32 {
        let mut event = libc::epoll_event {
            events: events | libc::EPOLLONESHOT as u32,
            u64: fd as u64,
        };
        if unsafe { libc::epoll_ctl(self.epoll_fd, operation, fd, &mut event) } < 0 {
            -std::io::Error::last_os_error().raw_os_error().unwrap_or(libc::EIO)
        } else {
            0
        }
    }
}

fn wait_loop(epoll_fd: i32, stopping: &AtomicBool, callback: &Callback) {
    let mut events = vec![libc::epoll_event { events: 0, u64: 0 }; BATCH];
    while !stopping.load(Ordering::Relaxed) {
        let count =
            unsafe { libc::epoll_wait(epoll_fd, events.as_mut_ptr(), BATCH as i32, 100) };
        if count <= 0 {
            continue;
        }
        let mut ready = Vec::with_capacity(count as usize * 2);
        for event in &events[..count as usize] {
            let (fd, bits) = (event.u64 as i32, event.events as i32);
            ready.push(fd);
            ready.push(bits);
        }
        let status = callback.call(ready.into(), ThreadsafeFunctionCallMode::Blocking);
        if status != Status::Ok {
            break;
        }
    }
    unsafe { libc::close(epoll_fd) };
}

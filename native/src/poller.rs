//! epoll(7) on a thread of its own. Readiness is handed to JavaScript in batches: one call tells of
//! every descriptor that was ready at once. JavaScript fetches them into memory of its own, since
//! memory of ours that it holds puts no pressure on its collector and piles up.

use crate::lock::Lock;
use crate::syscalls::{errno, result};
use napi::bindgen_prelude::*;
use napi::threadsafe_function::{ThreadsafeFunction, ThreadsafeFunctionCallMode, UnknownReturnValue};
use napi_derive::napi;
use std::sync::atomic::{AtomicI32, AtomicU32, Ordering};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Most descriptors reported in one call.
const BATCH: usize = 512;
/// Batches that come closer together than this are busy ones: the thread then pauses, so that the next batch is larger.
const BUSY_GAP: Duration = Duration::from_millis(2);
/// The token of the descriptor that ends the thread; no watch has it.
const STOP_TOKEN: u64 = u64::MAX;

type Callback = ThreadsafeFunction<(), UnknownReturnValue, (), Status, false, true, 4>;

/// What was ready and is not fetched yet: at most one entry per armed descriptor.
#[derive(Default)]
struct Ready {
    entries: Vec<u32>,
    /// JavaScript was told, and has not fetched since.
    told: bool,
}

/// What the thread and the object share; the descriptors are closed when both are done with them.
struct Shared {
    ready: Lock<Ready>,
    epoll_fd: i32,
    stop_fd: i32,
    /// 0 until the thread has told it.
    thread_id: AtomicI32,
    pause_micros: AtomicU32,
}

impl Drop for Shared {
    fn drop(&mut self) {
        unsafe {
            libc::close(self.epoll_fd);
            libc::close(self.stop_fd);
        }
    }
}

/// Watches descriptors (level-triggered and one-shot: re-arm with `modify` after handling).
#[napi]
pub struct Poller {
    shared: Arc<Shared>,
}

#[napi]
impl Poller {
    /// `on_ready` is called when `take` has something.
    #[napi(constructor)]
    pub fn new(on_ready: Function<'_, (), UnknownReturnValue>) -> Result<Self> {
        let shared = Arc::new(Shared {
            ready: Lock::new(Ready::default()),
            epoll_fd: unsafe { libc::epoll_create1(libc::EPOLL_CLOEXEC) },
            stop_fd: unsafe { libc::eventfd(0, libc::EFD_CLOEXEC | libc::EFD_NONBLOCK) },
            thread_id: AtomicI32::new(0),
            pause_micros: AtomicU32::new(0),
        });
        if shared.epoll_fd < 0 || shared.stop_fd < 0 {
            return Err(Error::from_reason(format!("epoll: errno {}", errno())));
        }
        let mut event = libc::epoll_event { events: libc::EPOLLIN as u32, u64: STOP_TOKEN };
        unsafe {
            libc::epoll_ctl(shared.epoll_fd, libc::EPOLL_CTL_ADD, shared.stop_fd, &mut event);
        }
        let callback: Callback = on_ready
            .build_threadsafe_function::<()>()
            .weak::<true>()
            .max_queue_size::<4>()
            .build()?;
        let thread_shared = shared.clone();
        std::thread::Builder::new()
            .name("poller".into())
            .spawn(move || wait_loop(&thread_shared, &callback))
            .map_err(|error| Error::from_reason(error.to_string()))?;
        Ok(Self { shared })
    }

    /// Fetches `[token, events, token, events, …]` with the EPOLL* bits of epoll_ctl(2); returns how many numbers.
    /// What did not fit comes with the next call.
    #[napi]
    pub fn take(&self, mut into: Uint32Array) -> u32 {
        let into = unsafe { into.as_mut() };
        let mut ready = self.shared.ready.lock();
        ready.told = false;
        let count = ready.entries.len().min(into.len() & !1);
        into[..count].copy_from_slice(&ready.entries[..count]);
        ready.entries.drain(..count);
        count as u32
    }

    /// epoll_ctl(2) EPOLL_CTL_ADD with EPOLLONESHOT added. Returns 0 or `-errno`.
    #[napi]
    pub fn add(&self, fd: i32, events: u32, token: u32) -> i32 {
        self.control(libc::EPOLL_CTL_ADD, fd, events, token)
    }

    /// Re-arms a descriptor, with EPOLLONESHOT added. Returns 0 or `-errno`.
    #[napi]
    pub fn modify(&self, fd: i32, events: u32, token: u32) -> i32 {
        self.control(libc::EPOLL_CTL_MOD, fd, events, token)
    }

    /// Forgets a descriptor. Returns 0 or `-errno`.
    #[napi]
    pub fn remove(&self, fd: i32) -> i32 {
        self.control(libc::EPOLL_CTL_DEL, fd, 0, 0)
    }

    /// sched_setscheduler(2) of the thread that waits. Returns 0 or `-errno`.
    #[napi]
    pub fn set_scheduler(&self, policy: i32, priority: i32) -> i32 {
        let mut thread_id = self.shared.thread_id.load(Ordering::Acquire);
        while thread_id == 0 {
            std::thread::yield_now();
            thread_id = self.shared.thread_id.load(Ordering::Acquire);
        }
        let parameter = libc::sched_param { sched_priority: priority };
        result(unsafe { libc::sched_setscheduler(thread_id, policy, &parameter) })
    }

    /// While batches come closer together than 2 ms, the thread waits this long after each.
    #[napi]
    pub fn set_pause(&self, micros: u32) {
        self.shared.pause_micros.store(micros, Ordering::Relaxed);
    }

    /// Ends the thread.
    #[napi]
    pub fn close(&self) {
        let one = 1u64;
        unsafe { libc::write(self.shared.stop_fd, (&raw const one).cast(), 8) };
    }

    fn control(&self, operation: i32, fd: i32, events: u32, token: u32) -> i32 {
        let mut event = libc::epoll_event {
            events: events | libc::EPOLLONESHOT as u32,
            u64: token as u64,
        };
        result(unsafe { libc::epoll_ctl(self.shared.epoll_fd, operation, fd, &mut event) })
    }
}

fn wait_loop(shared: &Shared, callback: &Callback) {
    shared.thread_id.store(unsafe { libc::gettid() }, Ordering::Release);
    let mut events = vec![libc::epoll_event { events: 0, u64: 0 }; BATCH];
    let mut last_batch = Instant::now();
    loop {
        let count =
            unsafe { libc::epoll_wait(shared.epoll_fd, events.as_mut_ptr(), BATCH as i32, -1) };
        if count < 0 {
            if errno() == libc::EINTR {
                continue;
            }
            return;
        }
        let mut ready = shared.ready.lock();
        for event in &events[..count as usize] {
            let (token, bits) = (event.u64, event.events);
            if token == STOP_TOKEN {
                return;
            }
            ready.entries.extend([token as u32, bits]);
        }
        let tell = !ready.told;
        ready.told = true;
        drop(ready);
        if tell && callback.call((), ThreadsafeFunctionCallMode::Blocking) != Status::Ok {
            return;
        }
        let pause = shared.pause_micros.load(Ordering::Relaxed);
        if pause > 0 && last_batch.elapsed() < BUSY_GAP {
            std::thread::sleep(Duration::from_micros(u64::from(pause)));
        }
        last_batch = Instant::now();
    }
}

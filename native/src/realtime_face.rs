//! The real-time thread's face towards JavaScript: ids, microseconds and bytes in, `-errno` out.

use crate::datagram::{Datagram, Round};
use crate::realtime::{stay_on, two_processors, Pin, Shared, UNTOLD};
use napi::bindgen_prelude::*;
use napi_derive::napi;
use std::collections::VecDeque;
use std::sync::atomic::Ordering;
use std::sync::Arc;

/// Most rounds that a repeat may hold.
const ROUNDS: usize = 1024;

#[napi(object)]
pub struct NativeDatagram {
    pub fd: i32,
    pub address: Uint8Array,
    pub data: Uint8Array,
}

fn nanos(micros: f64) -> u64 {
    // A float outside of the range saturates; NaN is 0.
    (micros * 1e3).round() as u64
}

fn micros(nanos: u64) -> f64 {
    nanos as f64 / 1e3
}

fn round(datagrams: Vec<NativeDatagram>) -> Round {
    datagrams
        .into_iter()
        .map(|datagram| Datagram {
            fd: datagram.fd,
            address: datagram.address.as_ref().into(),
            data: datagram.data.as_ref().into(),
        })
        .collect()
}

fn spawn(name: &str, work: impl FnOnce() + Send + 'static) -> Result<()> {
    std::thread::Builder::new()
        .name(name.into())
        .spawn(work)
        .map(drop)
        .map_err(|error| Error::from_reason(error.to_string()))
}

#[napi]
pub struct RealTime {
    shared: Arc<Shared>,
}

#[napi]
impl RealTime {
    /// Starts the thread, one that stands by on another CPU where there is one, and the one for openings; priority 0
    /// leaves them SCHED_OTHER.
    #[napi(constructor)]
    pub fn new(priority: i32) -> Result<Self> {
        let (shared, openings) =
            Shared::new().map_err(|number| Error::from_reason(format!("real-time thread: errno {number}")))?;
        let shared = Arc::new(shared);
        let processors = two_processors();
        let first = shared.clone();
        spawn("real-time", move || {
            if let Some((processor, _)) = processors {
                stay_on(processor);
            }
            first.run(priority);
        })?;
        if let Some((_, processor)) = processors {
            let second = shared.clone();
            spawn("real-time-2", move || {
                stay_on(processor);
                second.stand_by(priority);
            })?;
        }
        spawn("real-time-3", move || Shared::send_openings(openings, priority))?;
        while shared.scheduler_status.load(Ordering::Acquire) == UNTOLD {
            std::thread::sleep(std::time::Duration::from_micros(100));
        }
        Ok(Self { shared })
    }

    /// How often the thread that stands by did what was overdue.
    #[napi(getter)]
    pub fn stood_in(&self) -> f64 {
        self.shared.change(|state| state.stood_in as f64)
    }

    #[napi(getter)]
    pub fn event_fd(&self) -> i32 {
        self.shared.event_fd
    }

    #[napi(getter)]
    pub fn scheduler_status(&self) -> i32 {
        self.shared.scheduler_status.load(Ordering::Acquire)
    }

    #[napi]
    pub fn take(&self, mut into: Uint8Array) -> u32 {
        self.shared.take(unsafe { into.as_mut() }) as u32
    }

    #[napi]
    pub fn settle(&self) {
        self.shared.change(|state| state.settle());
    }

    #[napi]
    pub fn renew_lease(&self, until_micros: f64) {
        self.shared.change(|state| state.renew_lease(nanos(until_micros)));
    }

    #[napi]
    pub fn repeat_create(&self) -> u32 {
        self.shared.change(|state| state.create_repeat())
    }

    #[napi]
    pub fn repeat_set(&self, id: u32, rounds: Vec<Vec<NativeDatagram>>, last_round: Vec<NativeDatagram>) -> i32 {
        if rounds.len() > ROUNDS {
            return -libc::E2BIG;
        }
        let rounds: VecDeque<Round> = rounds.into_iter().map(round).collect();
        let last_round = (!last_round.is_empty()).then(|| round(last_round));
        self.shared.change(|state| state.set_repeat(id, rounds, last_round))
    }

    #[napi]
    pub fn repeat_set_opening(&self, id: u32, opening: Vec<NativeDatagram>) -> i32 {
        let opening = (!opening.is_empty()).then(|| round(opening));
        self.shared.change(|state| state.set_opening(id, opening))
    }

    #[napi]
    pub fn repeat_start(&self, id: u32, first_at_micros: f64, interval_micros: f64) -> i32 {
        self.shared
            .change(|state| state.start_repeat(id, nanos(first_at_micros), nanos(interval_micros)))
    }

    #[napi]
    pub fn repeat_stop(&self, id: u32, send_final: bool) -> i32 {
        self.shared.change(|state| state.stop_repeat(id, send_final))
    }

    #[napi]
    pub fn repeat_delete(&self, id: u32) -> i32 {
        self.shared.change(|state| match state.repeats.remove(&id) {
            Some(_) => 0,
            None => -libc::ENOENT,
        })
    }

    #[napi]
    pub fn repeat_statistics(&self, id: u32, reset: bool) -> Float64Array {
        self.shared.change(|state| {
            let Some(repeat) = state.repeats.get_mut(&id) else {
                return vec![].into();
            };
            let values = vec![
                repeat.running as u8 as f64,
                repeat.sent as f64,
                repeat.errors as f64,
                repeat.last_errno as f64,
                micros(repeat.last_sent),
                micros(repeat.longest_gap),
                micros(repeat.worst_lateness),
                repeat.rounds_left() as f64,
                if repeat.running { micros(repeat.next) } else { 0.0 },
            ];
            if reset {
                repeat.longest_gap = 0;
                repeat.worst_lateness = 0;
            }
            values.into()
        })
    }

    #[napi]
    pub fn receiver_create(&self, fd: i32, family: i32, key_offset: u32, deliver_unknown: bool) -> i32 {
        let id = self
            .shared
            .change(|state| state.create_receiver(fd, family, key_offset as usize, deliver_unknown));
        let status = self.shared.watch_descriptor(fd, id as u64);
        if status < 0 {
            self.shared.change(|state| state.delete_receiver(id));
            return status;
        }
        id as i32
    }

    #[napi]
    pub fn receiver_delete(&self, id: u32) -> i32 {
        match self.shared.change(|state| state.delete_receiver(id)) {
            Some(fd) => {
                self.shared.forget_descriptor(fd);
                0
            }
            None => -libc::ENOENT,
        }
    }

    #[napi]
    pub fn receiver_statistics(&self, id: u32) -> Float64Array {
        self.shared.change(|state| {
            let Some(receiver) = state.receivers.get(&id) else {
                return vec![].into();
            };
            vec![
                receiver.frames as f64,
                receiver.malformed as f64,
                receiver.unknown as f64,
                receiver.errors as f64,
                receiver.last_errno as f64,
            ]
            .into()
        })
    }

    #[napi]
    pub fn watch_create(&self, receiver: u32, key: u8, interface_index: u32) -> i32 {
        match self.shared.change(|state| state.create_watch(receiver, key, interface_index)) {
            Some(id) => id as i32,
            None => -libc::ENOENT,
        }
    }

    /// `frame` is a record as `take` gave it; empty unpins.
    #[napi]
    pub fn watch_pin(&self, id: u32, frame: &[u8], interval_micros: f64) -> i32 {
        let pin = match (frame.is_empty(), Pin::from_record(frame)) {
            (true, _) => None,
            (false, Some(pin)) => Some(pin),
            (false, None) => return -libc::EINVAL,
        };
        self.shared.change(|state| state.pin_watch(id, pin, nanos(interval_micros)))
    }

    #[napi]
    pub fn watch_rearm(&self, id: u32, deadline_micros: f64, generation: u32) -> i32 {
        self.shared.change(|state| state.rearm_watch(id, nanos(deadline_micros), generation))
    }

    #[napi]
    pub fn watch_start_on_expiry(&self, id: u32, repeat: u32, interval_micros: f64) -> i32 {
        self.shared.change(|state| state.start_on_expiry(id, repeat, nanos(interval_micros)))
    }

    #[napi]
    pub fn watch_delete(&self, id: u32) -> i32 {
        self.shared.change(|state| state.delete_watch(id));
        0
    }

    #[napi]
    pub fn watch_statistics(&self, id: u32) -> Float64Array {
        self.shared.change(|state| {
            let Some(watch) = state.watches.get(&id) else {
                return vec![].into();
            };
            vec![
                micros(watch.deadline),
                watch.frames as f64,
                watch.matched as f64,
                watch.delivered as f64,
                watch.dropped as f64,
                micros(watch.last_frame),
                micros(watch.last_matched),
            ]
            .into()
        })
    }

    #[napi]
    pub fn close(&self) {
        self.shared.stop();
    }
}

impl Drop for RealTime {
    fn drop(&mut self) {
        self.shared.stop();
    }
}

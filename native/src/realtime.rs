//! The two reflexes: repeat (send this every N) and watch (nothing came for N). The semantics are
//! stated in `firmware/kernel/realtime.ts`. One state behind one lock with priority inheritance; one
//! thread that sleeps until the next deadline or the next frame. Times are CLOCK_MONOTONIC nanoseconds.
//!
//! A second thread stands by on another CPU: real-time priority does not help where a whole CPU stands still (the kernel
//! works through a burst of interrupts, a hypervisor takes it away). Whatever is overdue by the grace, it does.
//!
//! A third thread sends the openings: what has to wait for a lock of the kernel (an address for the one of all its network
//! interfaces) must not keep the adverts waiting.

use crate::datagram::{monotonic_nanos, send_in_order, Frame, Inbox, Outcome, Received, Round, Sender};
use crate::lock::{Guard, Lock};
use crate::syscalls::{errno, result};
use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap, VecDeque};
use std::sync::atomic::{AtomicI32, Ordering};
use std::sync::mpsc;
use std::sync::Arc;

/// Frames of one watch that may wait for JavaScript.
const WAITING_PER_WATCH: u32 = 64;
/// How long a deadline may be overdue before the thread that stands by takes care of it.
const GRACE: u64 = 3_000_000;
/// Receive calls before an expiry: whatever floods the socket, a silent master is found out.
const RECEIVES_PER_DRAIN: usize = 64;
/// Intervals of repeats, in nanoseconds: 1 ms to a day.
const SHORTEST_INTERVAL: u64 = 1_000_000;
const LONGEST_INTERVAL: u64 = 86_400_000_000_000;
/// Receive calls per wake-up before timers get their turn again.
const RECEIVES_PER_WAKE: usize = 4;
const EPOLL_BATCH: usize = 64;
/// epoll token of the descriptor that JavaScript writes to wake the thread.
const CONTROL_TOKEN: u64 = 0;
pub const NEVER: u64 = u64::MAX;

/// Frames that come closer together than this wake the thread only so often: nobody waits for one that matches.
const BUSY_GAP: u64 = 2_000_000;
const RECEIVE_PAUSE: u64 = 1_000_000;

/// Turns this close together are sent together.
fn slack(interval: u64) -> u64 {
    (interval / 256).min(250_000)
}

/// The second turn of a run is moved earlier to a multiple of this, and the rest follow at the exact interval: hundreds
/// of repeats then share a few wake-ups and system calls.
fn grid(interval: u64) -> u64 {
    interval / 32
}

/// A record of the event queue (little-endian, padded to 8 bytes):
/// 0 u32 size · 4 u8 kind · 5 u8 flag · 6 u8 address length · 7 u8 IP header length · 8 u32 id ·
/// 12 u32 generation or receiver · 16 f64 time in µs · 24 u16 data length · 26 u16 hop limit ·
/// 28 u32 interface · 32 source · 48 destination · 64 data.
pub struct Record;

impl Record {
    pub const HEADER: usize = 64;
    const FRAME: u8 = 1;
    const EXPIRED: u8 = 2;
    const LAPSED: u8 = 3;

    /// The length of the record at the beginning of `bytes`.
    fn size(bytes: &[u8]) -> Option<usize> {
        let size: [u8; 4] = bytes.get(..4)?.try_into().ok()?;
        Some(u32::from_le_bytes(size) as usize)
    }

    fn push(events: &mut Vec<u8>, kind: u8, flag: bool, id: u32, word: u32, at: u64, frame: Option<&Frame>) {
        let data = frame.map_or(&[][..], |frame| frame.data);
        let start = events.len();
        let size = (Self::HEADER + data.len()).next_multiple_of(8);
        events.resize(start + size, 0);
        let record = &mut events[start..];
        record[0..4].copy_from_slice(&(size as u32).to_le_bytes());
        record[4] = kind;
        record[5] = flag as u8;
        record[8..12].copy_from_slice(&id.to_le_bytes());
        record[12..16].copy_from_slice(&word.to_le_bytes());
        record[16..24].copy_from_slice(&(at as f64 / 1e3).to_le_bytes());
        if let Some(frame) = frame {
            record[6] = frame.source.len() as u8;
            record[7] = frame.header_length as u8;
            record[24..26].copy_from_slice(&(data.len() as u16).to_le_bytes());
            record[26..28].copy_from_slice(&frame.hop_limit.to_le_bytes());
            record[28..32].copy_from_slice(&frame.interface_index.to_le_bytes());
            record[32..32 + frame.source.len()].copy_from_slice(frame.source);
            record[48..48 + frame.destination.len()].copy_from_slice(frame.destination);
            record[Self::HEADER..Self::HEADER + data.len()].copy_from_slice(data);
        }
    }
}

/// What makes two frames the same for a watch.
pub struct Pin {
    hop_limit: u16,
    source: Box<[u8]>,
    destination: Box<[u8]>,
    payload: Box<[u8]>,
}

impl Pin {
    /// From a frame record; None when it is none.
    pub fn from_record(record: &[u8]) -> Option<Self> {
        let header = record.get(..Record::HEADER)?;
        if header[4] != Record::FRAME {
            return None;
        }
        let address = header[6] as usize;
        let data_length = u16::from_le_bytes([header[24], header[25]]) as usize;
        let data = record.get(Record::HEADER..Record::HEADER + data_length)?;
        Some(Self {
            hop_limit: u16::from_le_bytes([header[26], header[27]]),
            source: header.get(32..32 + address)?.into(),
            destination: header.get(48..48 + address)?.into(),
            payload: data.get(header[7] as usize..)?.into(),
        })
    }

    fn equals(&self, frame: &Frame) -> bool {
        self.hop_limit == frame.hop_limit
            && *self.payload == *frame.payload()
            && *self.source == *frame.source
            && *self.destination == *frame.destination
    }
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Target {
    Lease,
    Watch(u32),
    Repeat(u32),
}

/// When an object's one live heap entry is due, and its stamp; entries with another stamp are stale.
#[derive(Default)]
struct Timer {
    at: u64,
    stamp: u64,
}

#[derive(Default)]
pub struct Repeat {
    rounds: VecDeque<Round>,
    last_round: Option<Round>,
    /// What follows the first turn of a run that a watch starts.
    opening: Option<Round>,
    /// To be sent after the next round: an advert comes before what it announces.
    opening_owed: bool,
    timer: Timer,
    pub running: bool,
    pub next: u64,
    interval: u64,
    aligned: bool,
    pub sent: u64,
    pub errors: u64,
    pub last_errno: i32,
    pub last_sent: u64,
    pub longest_gap: u64,
    pub worst_lateness: u64,
    /// The previous turn of this run; 0 before the first.
    previous: u64,
}

impl Repeat {
    pub fn rounds_left(&self) -> usize {
        self.rounds.len()
    }
}

pub struct Receiver {
    fd: i32,
    family: i32,
    key_offset: usize,
    deliver_unknown: bool,
    watches: HashMap<u8, Vec<u32>>,
    /// A time at which the socket was empty.
    empty_at: u64,
    waiting: Waiting,
    pub frames: u64,
    pub malformed: u64,
    pub unknown: u64,
    pub errors: u64,
    pub last_errno: i32,
}

#[derive(Default)]
pub struct Watch {
    receiver: u32,
    key: u8,
    /// Frames of other interfaces are not its own; 0: any.
    interface_index: u32,
    pin: Option<Pin>,
    interval: u64,
    /// 0: not armed.
    pub deadline: u64,
    timer: Timer,
    generation: u32,
    start_repeat: u32,
    start_interval: u64,
    waiting: Waiting,
    /// The sequence number of the last event delivered for it.
    last_delivered: u64,
    pub frames: u64,
    pub matched: u64,
    pub delivered: u64,
    pub dropped: u64,
    pub last_frame: u64,
    /// Of the last frame that equals the pinned one, in time or after the deadline.
    pub last_matched: u64,
}

/// Counts frames since JavaScript last took the queue.
#[derive(Default)]
struct Waiting {
    take: u64,
    frames: u32,
}

impl Waiting {
    fn admit(&mut self, take: u64) -> bool {
        if self.take != take {
            *self = Self { take, frames: 0 };
        }
        self.frames += 1;
        self.frames <= WAITING_PER_WATCH
    }
}

pub struct State {
    pub repeats: HashMap<u32, Repeat>,
    pub receivers: HashMap<u32, Receiver>,
    pub watches: HashMap<u32, Watch>,
    next_id: u32,
    heap: BinaryHeap<Reverse<(u64, u64, Target)>>,
    next_stamp: u64,
    lease_until: u64,
    lease_timer: Timer,
    /// Events for JavaScript, and how many were ever queued, taken and judged.
    events: Vec<u8>,
    /// What of `events` is taken already.
    read: usize,
    queued: u64,
    taken: u64,
    settled: u64,
    takes: u64,
    /// JavaScript was told that the queue holds something.
    notified: bool,
    sender: Sender,
    /// Openings that the third thread has to send.
    openings: Vec<Round>,
    inbox: Inbox,
    /// What the thread sleeps until, and the one that stands by; 0: it does not sleep, or there is none.
    wait_until: u64,
    stand_by_until: u64,
    /// How often the one that stands by had something to do.
    pub stood_in: u64,
    stopping: bool,
}

impl State {
    fn new() -> Self {
        Self {
            repeats: HashMap::new(),
            receivers: HashMap::new(),
            watches: HashMap::new(),
            next_id: 0,
            heap: BinaryHeap::new(),
            next_stamp: 0,
            lease_until: 0,
            lease_timer: Timer::default(),
            events: Vec::new(),
            read: 0,
            queued: 0,
            taken: 0,
            settled: 0,
            takes: 0,
            notified: false,
            sender: Sender::new(),
            openings: Vec::new(),
            inbox: Inbox::new(),
            wait_until: 0,
            stand_by_until: 0,
            stood_in: 0,
            stopping: false,
        }
    }

    fn new_id(&mut self) -> u32 {
        loop {
            self.next_id = self.next_id.wrapping_add(1);
            let id = self.next_id;
            if id != 0
                && !self.repeats.contains_key(&id)
                && !self.receivers.contains_key(&id)
                && !self.watches.contains_key(&id)
            {
                return id;
            }
        }
    }

    // ── what JavaScript asks for ──

    pub fn renew_lease(&mut self, until: u64) {
        self.lease_until = until;
        if self.repeats.values().any(|repeat| repeat.running) {
            self.schedule(Target::Lease, until);
        }
    }

    pub fn create_repeat(&mut self) -> u32 {
        let id = self.new_id();
        self.repeats.insert(id, Repeat::default());
        id
    }

    pub fn set_repeat(&mut self, id: u32, rounds: VecDeque<Round>, last_round: Option<Round>) -> i32 {
        match self.repeats.get_mut(&id) {
            Some(repeat) => {
                repeat.rounds = rounds;
                repeat.last_round = last_round;
                0
            }
            None => -libc::ENOENT,
        }
    }

    pub fn set_opening(&mut self, id: u32, opening: Option<Round>) -> i32 {
        match self.repeats.get_mut(&id) {
            Some(repeat) => {
                repeat.opening = opening;
                0
            }
            None => -libc::ENOENT,
        }
    }

    pub fn start_repeat(&mut self, id: u32, first: u64, interval: u64) -> i32 {
        if !(SHORTEST_INTERVAL..=LONGEST_INTERVAL).contains(&interval) {
            return -libc::EINVAL;
        }
        let now = monotonic_nanos();
        if self.lease_until <= now {
            return -libc::EPERM;
        }
        let Some(repeat) = self.repeats.get_mut(&id) else {
            return -libc::ENOENT;
        };
        if !repeat.running {
            repeat.previous = 0;
        }
        repeat.running = true;
        repeat.opening_owed = false;
        repeat.aligned = false;
        repeat.interval = interval;
        repeat.next = first.max(now);
        let next = repeat.next;
        self.schedule(Target::Repeat(id), next);
        self.schedule(Target::Lease, self.lease_until);
        0
    }

    pub fn stop_repeat(&mut self, id: u32, send_final: bool) -> i32 {
        let Some(repeat) = self.repeats.get_mut(&id) else {
            return -libc::ENOENT;
        };
        repeat.running = false;
        if let (true, Some(round)) = (send_final, &repeat.last_round) {
            self.sender.push(id, round);
            self.flush();
        }
        0
    }

    pub fn create_receiver(&mut self, fd: i32, family: i32, key_offset: usize, deliver_unknown: bool) -> u32 {
        let id = self.new_id();
        let receiver = Receiver {
            fd,
            family,
            key_offset,
            deliver_unknown,
            watches: HashMap::new(),
            empty_at: 0,
            waiting: Waiting::default(),
            frames: 0,
            malformed: 0,
            unknown: 0,
            errors: 0,
            last_errno: 0,
        };
        self.receivers.insert(id, receiver);
        id
    }

    /// Forgets a receiver and its watches; returns its descriptor.
    pub fn delete_receiver(&mut self, id: u32) -> Option<i32> {
        let receiver = self.receivers.remove(&id)?;
        self.watches.retain(|_, watch| watch.receiver != id);
        Some(receiver.fd)
    }

    pub fn create_watch(&mut self, receiver_id: u32, key: u8, interface_index: u32) -> Option<u32> {
        let id = self.new_id();
        let receiver = self.receivers.get_mut(&receiver_id)?;
        receiver.watches.entry(key).or_default().push(id);
        self.watches.insert(id, Watch { receiver: receiver_id, key, interface_index, ..Watch::default() });
        Some(id)
    }

    pub fn delete_watch(&mut self, id: u32) {
        let Some(watch) = self.watches.remove(&id) else {
            return;
        };
        if let Some(receiver) = self.receivers.get_mut(&watch.receiver) {
            if let Some(ids) = receiver.watches.get_mut(&watch.key) {
                ids.retain(|other| *other != id);
                if ids.is_empty() {
                    receiver.watches.remove(&watch.key);
                }
            }
        }
    }

    pub fn pin_watch(&mut self, id: u32, pin: Option<Pin>, interval: u64) -> i32 {
        match self.watches.get_mut(&id) {
            Some(watch) => {
                watch.pin = pin;
                watch.interval = interval;
                0
            }
            None => -libc::ENOENT,
        }
    }

    pub fn rearm_watch(&mut self, id: u32, deadline: u64, generation: u32) -> i32 {
        let Some(watch) = self.watches.get_mut(&id) else {
            return -libc::ENOENT;
        };
        watch.deadline = deadline;
        watch.generation = generation;
        if deadline != 0 {
            self.schedule(Target::Watch(id), deadline);
        }
        0
    }

    pub fn start_on_expiry(&mut self, id: u32, repeat: u32, interval: u64) -> i32 {
        match self.watches.get_mut(&id) {
            Some(watch) => {
                watch.start_repeat = repeat;
                watch.start_interval = interval;
                0
            }
            None => -libc::ENOENT,
        }
    }

    /// Copies whole queued records into `into` and returns their length; 0 when the queue is empty. The frames among
    /// them wait to be judged until `settle`.
    pub fn take(&mut self, into: &mut [u8]) -> usize {
        let mut length = 0;
        while let Some(size) = self.events.get(self.read..).and_then(Record::size) {
            if length + size > into.len() {
                break;
            }
            into[length..length + size].copy_from_slice(&self.events[self.read..self.read + size]);
            length += size;
            self.read += size;
            self.taken += 1;
        }
        if self.read == self.events.len() {
            self.events.clear();
            self.read = 0;
            self.notified = false;
            self.takes += 1;
        }
        length
    }

    pub fn settle(&mut self) {
        self.settled = self.taken;
    }

    // ── timers ──

    fn timer(&mut self, target: Target) -> Option<&mut Timer> {
        match target {
            Target::Lease => Some(&mut self.lease_timer),
            Target::Watch(id) => self.watches.get_mut(&id).map(|watch| &mut watch.timer),
            Target::Repeat(id) => self.repeats.get_mut(&id).map(|repeat| &mut repeat.timer),
        }
    }

    /// Sees to it that `target` is looked at no later than `at`. A live entry that is due earlier is left:
    /// when it comes up, whoever is behind it finds the later time and asks again. So a deadline that only
    /// ever moves later, once per frame, costs one heap operation per interval.
    fn schedule(&mut self, target: Target, at: u64) {
        let stamp = self.next_stamp + 1;
        let Some(timer) = self.timer(target) else {
            return;
        };
        if timer.stamp != 0 && timer.at <= at {
            return;
        }
        *timer = Timer { at, stamp };
        self.next_stamp = stamp;
        self.heap.push(Reverse((at, stamp, target)));
        let live = self.watches.len() + self.repeats.len() + 1;
        if self.heap.len() > 4 * live + 64 {
            let entries = std::mem::take(&mut self.heap).into_vec();
            self.heap = entries.into_iter().filter(|Reverse((_, stamp, target))| {
                self.timer_stamp(*target) == *stamp
            }).collect();
        }
    }

    fn timer_stamp(&self, target: Target) -> u64 {
        match target {
            Target::Lease => self.lease_timer.stamp,
            Target::Watch(id) => self.watches.get(&id).map_or(0, |watch| watch.timer.stamp),
            Target::Repeat(id) => self.repeats.get(&id).map_or(0, |repeat| repeat.timer.stamp),
        }
    }

    fn next_deadline(&self) -> u64 {
        self.heap.peek().map_or(NEVER, |Reverse((at, _, _))| *at)
    }

    /// Does all that is due at `now`.
    fn run_timers(&mut self, now: u64) {
        let mut drained: Vec<u32> = Vec::new();
        // After a stall (a stopped process, a suspended machine) a turn may be due that the lease no longer covers.
        if self.lease_until <= now {
            self.lease_due(now);
        }
        while let Some(Reverse((at, stamp, target))) = self.heap.peek().copied() {
            let early = match target {
                Target::Repeat(id) => self.repeats.get(&id).map_or(0, |repeat| slack(repeat.interval)),
                _ => 0,
            };
            if at > now + early {
                break;
            }
            self.heap.pop();
            match self.timer(target) {
                Some(timer) if timer.stamp == stamp => *timer = Timer::default(),
                _ => continue,
            }
            match target {
                Target::Lease => self.lease_due(now),
                Target::Repeat(id) => self.repeat_due(id, now),
                Target::Watch(id) => self.watch_due(id, now, &mut drained),
            }
        }
        self.flush();
    }

    fn lease_due(&mut self, now: u64) {
        if self.lease_until > now {
            if self.repeats.values().any(|repeat| repeat.running) {
                self.schedule(Target::Lease, self.lease_until);
            }
            return;
        }
        for (id, repeat) in &mut self.repeats {
            if repeat.running {
                repeat.running = false;
                if let Some(round) = &repeat.last_round {
                    self.sender.push(*id, round);
                }
                self.queued += 1;
                Record::push(&mut self.events, Record::LAPSED, false, *id, 0, now, None);
            }
        }
    }

    fn repeat_due(&mut self, id: u32, now: u64) {
        let Some(repeat) = self.repeats.get_mut(&id).filter(|repeat| repeat.running) else {
            return;
        };
        if repeat.next > now + slack(repeat.interval) {
            let next = repeat.next;
            return self.schedule(Target::Repeat(id), next);
        }
        if let Some(round) = repeat.rounds.front() {
            self.sender.push(id, round);
            if repeat.rounds.len() > 1 {
                repeat.rounds.pop_front();
            }
        }
        if std::mem::take(&mut repeat.opening_owed) {
            self.openings.extend(repeat.opening.clone());
        }
        repeat.worst_lateness = repeat.worst_lateness.max(now.saturating_sub(repeat.next));
        if repeat.previous != 0 {
            repeat.longest_gap = repeat.longest_gap.max(now - repeat.previous);
        }
        repeat.previous = now;
        // Turns missed in a stall are skipped, the phase is kept.
        let missed = now.saturating_sub(repeat.next) / repeat.interval;
        repeat.next += repeat.interval * (missed + 1);
        if !repeat.aligned {
            repeat.aligned = true;
            repeat.next -= repeat.next % grid(repeat.interval);
        }
        let next = repeat.next;
        self.schedule(Target::Repeat(id), next);
    }

    fn watch_due(&mut self, id: u32, now: u64, drained: &mut Vec<u32>) {
        let Some((deadline, receiver)) = self.watches.get(&id).map(|watch| (watch.deadline, watch.receiver))
        else {
            return;
        };
        if deadline == 0 {
            return;
        }
        if deadline <= now && !drained.contains(&receiver) {
            drained.push(receiver);
            self.drain(receiver, now);
        }
        let Some(watch) = self.watches.get_mut(&id) else {
            return;
        };
        if watch.deadline > now {
            let deadline = watch.deadline;
            return self.schedule(Target::Watch(id), deadline);
        }
        let (at, generation) = (watch.deadline, watch.generation);
        let (repeat, interval) = (watch.start_repeat, watch.start_interval);
        let judged = watch.last_delivered <= self.settled;
        watch.deadline = 0;
        let started = repeat != 0 && judged && self.start_repeat(repeat, now, interval) == 0;
        if let (true, Some(repeat)) = (started, self.repeats.get_mut(&repeat)) {
            repeat.opening_owed = true;
        }
        self.queued += 1;
        Record::push(&mut self.events, Record::EXPIRED, started, id, generation, at, None);
    }

    /// Sends what was collected and keeps the books.
    fn flush(&mut self) {
        let (sender, repeats) = (&mut self.sender, &mut self.repeats);
        let now = monotonic_nanos();
        sender.flush(|owner, number| {
            if let Some(repeat) = repeats.get_mut(&owner) {
                if number == 0 {
                    repeat.sent += 1;
                    repeat.last_sent = now;
                } else {
                    repeat.errors += 1;
                    repeat.last_errno = number;
                }
            }
        });
    }

    // ── frames ──

    /// Reads all frames that had arrived by `until`.
    fn drain(&mut self, receiver: u32, until: u64) {
        for _ in 0..RECEIVES_PER_DRAIN {
            let (more, newest) = self.receive(receiver);
            if !more || newest >= until {
                return;
            }
        }
    }

    /// One receive call. Returns whether more may wait, and the newest frame's time.
    fn receive(&mut self, id: u32) -> (bool, u64) {
        let Self { receivers, watches, inbox, events, queued, settled, takes, heap: _, .. } = self;
        let Some(receiver) = receivers.get_mut(&id) else {
            return (false, 0);
        };
        let before = monotonic_nanos();
        let mut newest = 0;
        let outcome = inbox.receive(receiver.fd, receiver.family, receiver.empty_at, |received| {
            receiver.frames += 1;
            let Received::Frame(frame) = received else {
                receiver.malformed += 1;
                return;
            };
            newest = frame.at;
            let Some(key) = frame.payload().get(receiver.key_offset) else {
                receiver.malformed += 1;
                return;
            };
            let Some(ids) = receiver.watches.get(key) else {
                receiver.unknown += 1;
                if receiver.deliver_unknown && receiver.waiting.admit(*takes) {
                    *queued += 1;
                    Record::push(events, Record::FRAME, false, 0, id, frame.at, Some(&frame));
                }
                return;
            };
            for watch_id in ids {
                if let Some(watch) = watches.get_mut(watch_id) {
                    if !watch.consume(&frame, *takes, *settled) {
                        continue;
                    }
                    *queued += 1;
                    watch.last_delivered = *queued;
                    Record::push(events, Record::FRAME, false, *watch_id, id, frame.at, Some(&frame));
                }
            }
        });
        match outcome {
            Outcome::Empty => {
                receiver.empty_at = before;
                (false, newest)
            }
            Outcome::More => (true, newest),
            Outcome::Failed(number) => {
                // Such as ENETDOWN once after the link went down: the socket lives on.
                receiver.errors += 1;
                receiver.last_errno = number;
                (false, newest)
            }
        }
    }
}

impl Watch {
    /// Takes in one frame; true when JavaScript has to see it: also the pinned one, while an earlier frame waits to be
    /// judged, since it may be the answer to that. The deadline only moves later here, so the timer's entry may stay
    /// as it is.
    fn consume(&mut self, frame: &Frame, takes: u64, settled: u64) -> bool {
        if self.interface_index != 0 && self.interface_index != frame.interface_index {
            return false;
        }
        self.frames += 1;
        self.last_frame = frame.at;
        let matches = self.pin.as_ref().is_some_and(|pin| pin.equals(frame));
        if matches {
            self.last_matched = frame.at;
        }
        if self.deadline != 0 && matches && self.last_delivered <= settled {
            self.matched += 1;
            self.deadline = self.deadline.max(frame.at.saturating_add(self.interval));
            return false;
        }
        if self.waiting.admit(takes) {
            self.delivered += 1;
            true
        } else {
            self.dropped += 1;
            false
        }
    }
}

/// What the thread and JavaScript share.
pub struct Shared {
    state: Lock<State>,
    epoll_fd: i32,
    /// Wakes the thread.
    control_fd: i32,
    /// Wakes the one that stands by.
    stand_by_fd: i32,
    /// Wakes JavaScript.
    pub event_fd: i32,
    /// To the thread that sends them.
    openings: mpsc::Sender<Round>,
    pub scheduler_status: AtomicI32,
}

/// `Shared::scheduler_status` before the thread has told it.
pub const UNTOLD: i32 = i32::MIN;

impl Drop for Shared {
    fn drop(&mut self) {
        for fd in [self.epoll_fd, self.control_fd, self.stand_by_fd, self.event_fd] {
            unsafe { libc::close(fd) };
        }
    }
}

fn signal(fd: i32) {
    let one = 1u64;
    unsafe { libc::write(fd, (&raw const one).cast(), 8) };
}

fn clear(fd: i32) {
    let mut count = 0u64;
    unsafe { libc::read(fd, (&raw mut count).cast(), 8) };
}

/// SCHED_FIFO for the calling thread, and exact timers in any case (otherwise they slip by 50 µs). Priority 0 leaves it
/// SCHED_OTHER. Returns 0 or `-errno`.
fn become_real_time(priority: i32) -> i32 {
    unsafe { libc::prctl(libc::PR_SET_TIMERSLACK, 1, 0, 0, 0) };
    let parameter = libc::sched_param { sched_priority: priority };
    if priority > 0 {
        result(unsafe { libc::sched_setscheduler(0, libc::SCHED_FIFO, &parameter) })
    } else {
        0
    }
}

/// Until `deadline`, or until somebody signals `fd`.
fn sleep_until(fd: i32, deadline: u64) {
    let left = deadline.saturating_sub(monotonic_nanos());
    let timeout = libc::timespec {
        tv_sec: (left / 1_000_000_000) as i64,
        tv_nsec: (left % 1_000_000_000) as i64,
    };
    let pointer = if deadline == NEVER { std::ptr::null() } else { &raw const timeout };
    let mut wanted = libc::pollfd { fd, events: libc::POLLIN, revents: 0 };
    unsafe { libc::ppoll(&mut wanted, 1, pointer, std::ptr::null()) };
}

/// Two different CPUs that this process may use, or None when it has only one.
pub fn two_processors() -> Option<(usize, usize)> {
    let mut allowed: libc::cpu_set_t = unsafe { std::mem::zeroed() };
    if unsafe { libc::sched_getaffinity(0, std::mem::size_of::<libc::cpu_set_t>(), &mut allowed) } < 0 {
        return None;
    }
    let mut usable = (0..libc::CPU_SETSIZE as usize).filter(|cpu| unsafe { libc::CPU_ISSET(*cpu, &allowed) });
    let first = usable.next()?;
    Some((usable.next_back()?, first))
}

/// Keeps the calling thread on one CPU.
pub fn stay_on(processor: usize) {
    let mut set: libc::cpu_set_t = unsafe { std::mem::zeroed() };
    unsafe {
        libc::CPU_SET(processor, &mut set);
        libc::sched_setaffinity(0, std::mem::size_of::<libc::cpu_set_t>(), &set);
    }
}

impl Shared {
    /// With the end of the queue that `send_openings` wants.
    pub fn new() -> Result<(Self, mpsc::Receiver<Round>), i32> {
        let (openings, queue) = mpsc::channel();
        let shared = unsafe {
            Self {
                state: Lock::new(State::new()),
                epoll_fd: libc::epoll_create1(libc::EPOLL_CLOEXEC),
                control_fd: libc::eventfd(0, libc::EFD_CLOEXEC | libc::EFD_NONBLOCK),
                stand_by_fd: libc::eventfd(0, libc::EFD_CLOEXEC | libc::EFD_NONBLOCK),
                event_fd: libc::eventfd(0, libc::EFD_CLOEXEC | libc::EFD_NONBLOCK),
                openings,
                scheduler_status: AtomicI32::new(UNTOLD),
            }
        };
        if [shared.epoll_fd, shared.control_fd, shared.stand_by_fd, shared.event_fd].iter().any(|fd| *fd < 0) {
            return Err(errno());
        }
        match shared.watch_descriptor(shared.control_fd, CONTROL_TOKEN) {
            0 => Ok((shared, queue)),
            status => Err(-status),
        }
    }

    pub fn watch_descriptor(&self, fd: i32, token: u64) -> i32 {
        let mut event = libc::epoll_event { events: libc::EPOLLIN as u32, u64: token };
        result(unsafe { libc::epoll_ctl(self.epoll_fd, libc::EPOLL_CTL_ADD, fd, &mut event) })
    }

    pub fn forget_descriptor(&self, fd: i32) {
        let mut event = libc::epoll_event { events: 0, u64: 0 };
        unsafe { libc::epoll_ctl(self.epoll_fd, libc::EPOLL_CTL_DEL, fd, &mut event) };
    }

    /// JavaScript's way in: changes the state, then wakes the thread if it sleeps for too long.
    pub fn change<T>(&self, work: impl FnOnce(&mut State) -> T) -> T {
        let mut state = self.state.lock();
        let value = work(&mut state);
        let deadline = state.next_deadline();
        let wake = deadline < state.wait_until;
        let wake_other = deadline.saturating_add(GRACE) < state.stand_by_until;
        drop(state);
        if wake {
            signal(self.control_fd);
        }
        if wake_other {
            signal(self.stand_by_fd);
        }
        value
    }

    pub fn take(&self, into: &mut [u8]) -> usize {
        let mut state = self.state.lock();
        clear(self.event_fd);
        state.take(into)
    }

    pub fn stop(&self) {
        self.state.lock().stopping = true;
        signal(self.control_fd);
        signal(self.stand_by_fd);
    }

    /// Hands the openings on, and tells JavaScript once per filling of the queue.
    fn notify(&self, mut state: Guard<'_, State>) {
        for opening in state.openings.drain(..) {
            // Nobody receives: the process ends.
            let _ = self.openings.send(opening);
        }
        let tell = !state.events.is_empty() && !state.notified;
        if tell {
            state.notified = true;
        }
        drop(state);
        if tell {
            signal(self.event_fd);
        }
    }

    /// Waits for frames or until `deadline`; None when epoll is gone.
    fn wait(&self, events: &mut [libc::epoll_event; EPOLL_BATCH], deadline: u64) -> Option<usize> {
        let left = deadline.saturating_sub(monotonic_nanos());
        let timeout = libc::timespec {
            tv_sec: (left / 1_000_000_000) as i64,
            tv_nsec: (left % 1_000_000_000) as i64,
        };
        let pointer = if deadline == NEVER { std::ptr::null() } else { &raw const timeout };
        // epoll_pwait2(2): nanoseconds, and no further system call to set a timer.
        let count = unsafe {
            libc::syscall(
                libc::SYS_epoll_pwait2,
                self.epoll_fd,
                events.as_mut_ptr(),
                EPOLL_BATCH,
                pointer,
                std::ptr::null::<libc::sigset_t>(),
                0,
            )
        };
        match count {
            0.. => Some(count as usize),
            _ if errno() == libc::EINTR => Some(0),
            _ => None,
        }
    }

    /// The thread that sends openings, until the last `Shared` is gone.
    pub fn send_openings(queue: mpsc::Receiver<Round>, priority: i32) {
        become_real_time(priority);
        for opening in queue {
            send_in_order(&opening);
        }
    }

    /// The thread that stands by.
    pub fn stand_by(&self, priority: i32) {
        become_real_time(priority);
        loop {
            let mut state = self.state.lock();
            if state.stopping {
                return;
            }
            clear(self.stand_by_fd);
            let now = monotonic_nanos();
            if state.next_deadline().saturating_add(GRACE) <= now {
                state.stood_in += 1;
                state.run_timers(now);
            }
            let until = state.next_deadline().saturating_add(GRACE);
            state.stand_by_until = until;
            self.notify(state);
            sleep_until(self.stand_by_fd, until);
        }
    }

    /// The thread.
    pub fn run(self: &Arc<Self>, priority: i32) {
        self.scheduler_status.store(become_real_time(priority), Ordering::Release);
        let mut events = [libc::epoll_event { events: 0, u64: 0 }; EPOLL_BATCH];
        let mut ready = 0;
        let mut last_frames = 0;
        loop {
            let mut state = self.state.lock();
            if state.stopping {
                return;
            }
            let queued = state.queued;
            let mut frames = false;
            for event in &events[..ready] {
                if event.u64 == CONTROL_TOKEN {
                    clear(self.control_fd);
                    continue;
                }
                frames = true;
                for _ in 0..RECEIVES_PER_WAKE {
                    if !state.receive(event.u64 as u32).0 {
                        break;
                    }
                }
            }
            let now = monotonic_nanos();
            state.run_timers(now);
            let busy = frames && state.queued == queued && now - last_frames < BUSY_GAP;
            if frames {
                last_frames = now;
            }
            let deadline = state.next_deadline();
            state.wait_until = deadline;
            self.notify(state);
            if busy {
                sleep_until(self.control_fd, deadline.min(now + RECEIVE_PAUSE));
            }
            match self.wait(&mut events, deadline) {
                Some(count) => ready = count,
                None => return,
            }
        }
    }
}

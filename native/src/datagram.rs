//! Datagrams in batches: sendmmsg(2) and recvmmsg(2) on raw IP sockets, with the control
//! messages that the real-time thread needs. Nothing here allocates once it runs.

use crate::syscalls::errno;
use std::sync::Arc;

/// Most datagrams of one system call.
const BATCH: usize = 64;
/// A VRRP advertisement of 255 IPv6 addresses has 4,088 bytes; with an IP header and AH it still fits.
const BUFFER_BYTES: usize = 4608;
const CONTROL_BYTES: usize = 256;

/// One datagram ready to be sent. An empty address sends to the connected peer.
pub struct Datagram {
    pub fd: i32,
    pub address: Box<[u8]>,
    pub data: Box<[u8]>,
}

/// What one turn sends: all its datagrams, in order.
pub type Round = Arc<[Datagram]>;

pub fn monotonic_nanos() -> u64 {
    clock_nanos(libc::CLOCK_MONOTONIC)
}

fn clock_nanos(clock: libc::clockid_t) -> u64 {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    unsafe { libc::clock_gettime(clock, &mut time) };
    time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64
}

/// Sends a round one by one, in its order across descriptors; what fails is left out.
pub fn send_in_order(round: &[Datagram]) {
    for Datagram { fd, address, data } in round {
        let (name, length) = match address.len() {
            0 => (std::ptr::null(), 0),
            length => (address.as_ptr().cast(), length as u32),
        };
        let flags = libc::MSG_DONTWAIT | libc::MSG_NOSIGNAL;
        unsafe { libc::sendto(*fd, data.as_ptr().cast(), data.len(), flags, name, length) };
    }
}

/// Collects rounds and sends them with as few system calls as their descriptors allow.
pub struct Sender {
    /// (descriptor, owner, round, index in it)
    queue: Vec<(i32, u32, Round, usize)>,
    headers: Vec<libc::mmsghdr>,
    parts: Vec<libc::iovec>,
}

// The raw pointers inside point into `queue` and live only while `flush` runs.
unsafe impl Send for Sender {}

impl Sender {
    pub fn new() -> Self {
        Self {
            queue: Vec::with_capacity(BATCH),
            headers: Vec::with_capacity(BATCH),
            parts: Vec::with_capacity(BATCH),
        }
    }

    pub fn push(&mut self, owner: u32, round: &Round) {
        for (index, datagram) in round.iter().enumerate() {
            self.queue.push((datagram.fd, owner, round.clone(), index));
        }
    }

    /// Sends everything, never blocking; `report` gets each datagram's owner and errno (0: sent).
    pub fn flush(&mut self, mut report: impl FnMut(u32, i32)) {
        self.queue.sort_by_key(|entry| entry.0);
        let mut start = 0;
        while start < self.queue.len() {
            let fd = self.queue[start].0;
            let mut end = start + 1;
            while end < self.queue.len() && end - start < BATCH && self.queue[end].0 == fd {
                end += 1;
            }
            start += self.send_some(start, end, &mut report);
        }
        self.queue.clear();
    }

    /// One sendmmsg(2); returns how many entries are dealt with, at least one.
    fn send_some(&mut self, start: usize, end: usize, report: &mut impl FnMut(u32, i32)) -> usize {
        self.headers.clear();
        self.parts.clear();
        for (_, _, round, index) in &self.queue[start..end] {
            let data = &round[*index].data;
            self.parts.push(libc::iovec { iov_base: data.as_ptr().cast_mut().cast(), iov_len: data.len() });
        }
        for ((_, _, round, index), part) in self.queue[start..end].iter().zip(&mut self.parts) {
            let address = &round[*index].address;
            let mut header: libc::mmsghdr = unsafe { std::mem::zeroed() };
            if !address.is_empty() {
                header.msg_hdr.msg_name = address.as_ptr().cast_mut().cast();
                header.msg_hdr.msg_namelen = address.len() as u32;
            }
            header.msg_hdr.msg_iov = part;
            header.msg_hdr.msg_iovlen = 1;
            self.headers.push(header);
        }
        let sent = unsafe {
            libc::sendmmsg(
                self.queue[start].0,
                self.headers.as_mut_ptr(),
                (end - start) as u32,
                libc::MSG_DONTWAIT | libc::MSG_NOSIGNAL,
            )
        };
        if sent <= 0 {
            report(self.queue[start].1, errno());
            return 1;
        }
        for (_, owner, _, _) in &self.queue[start..start + sent as usize] {
            report(*owner, 0);
        }
        sent as usize
    }
}

/// One frame as it lies in the receive buffer.
pub struct Frame<'a> {
    /// CLOCK_MONOTONIC nanoseconds of the kernel's receive time stamp.
    pub at: u64,
    pub hop_limit: u16,
    pub interface_index: u32,
    /// 4 or 16 bytes.
    pub source: &'a [u8],
    pub destination: &'a [u8],
    /// From the IP header on (IPv4), or from its payload on (IPv6).
    pub data: &'a [u8],
    /// Length of the IP header in `data`.
    pub header_length: usize,
}

impl<'a> Frame<'a> {
    pub fn payload(&self) -> &'a [u8] {
        &self.data[self.header_length..]
    }
}

pub enum Received<'a> {
    Frame(Frame<'a>),
    /// Truncated, or not the IP that the socket promises.
    Malformed,
}

/// How a receive ended.
pub enum Outcome {
    /// The socket is empty; it was so at this time at the latest.
    Empty,
    /// There may be more.
    More,
    Failed(i32),
}

/// recvmmsg(2) buffers, one set for all sockets.
pub struct Inbox {
    headers: Vec<libc::mmsghdr>,
    _parts: Vec<libc::iovec>,
    buffers: Vec<[u8; BUFFER_BYTES]>,
    /// Aligned as cmsghdr wants.
    controls: Vec<[u64; CONTROL_BYTES / 8]>,
    names: Vec<libc::sockaddr_in6>,
}

// The raw pointers in `headers` and `_parts` point into the other vectors, which never grow.
unsafe impl Send for Inbox {}

impl Inbox {
    pub fn new() -> Self {
        let mut buffers = vec![[0u8; BUFFER_BYTES]; BATCH];
        let mut controls = vec![[0u64; CONTROL_BYTES / 8]; BATCH];
        let mut names: Vec<libc::sockaddr_in6> = vec![unsafe { std::mem::zeroed() }; BATCH];
        let mut parts: Vec<libc::iovec> = buffers
            .iter_mut()
            .map(|buffer| libc::iovec { iov_base: buffer.as_mut_ptr().cast(), iov_len: BUFFER_BYTES })
            .collect();
        let headers = (0..BATCH)
            .map(|index| {
                let mut header: libc::mmsghdr = unsafe { std::mem::zeroed() };
                header.msg_hdr.msg_iov = &mut parts[index];
                header.msg_hdr.msg_iovlen = 1;
                header.msg_hdr.msg_name = (&raw mut names[index]).cast();
                header.msg_hdr.msg_control = controls[index].as_mut_ptr().cast();
                header
            })
            .collect();
        Self { headers, _parts: parts, buffers, controls, names }
    }

    /// One recvmmsg(2), never blocking. `not_before` is a time at which the socket was known to be empty: no frame
    /// can be older, whatever the wall clock (the clock of kernel time stamps) has done since.
    pub fn receive(
        &mut self,
        fd: i32,
        family: i32,
        not_before: u64,
        mut each: impl FnMut(Received<'_>),
    ) -> Outcome {
        for header in &mut self.headers {
            header.msg_hdr.msg_namelen = std::mem::size_of::<libc::sockaddr_in6>() as u32;
            header.msg_hdr.msg_controllen = CONTROL_BYTES;
        }
        let count = unsafe {
            libc::recvmmsg(
                fd,
                self.headers.as_mut_ptr(),
                BATCH as u32,
                libc::MSG_DONTWAIT,
                std::ptr::null_mut(),
            )
        };
        if count < 0 {
            return match errno() {
                libc::EAGAIN => Outcome::Empty,
                libc::EINTR => Outcome::More,
                number => Outcome::Failed(number),
            };
        }
        let (wall, now) = (clock_nanos(libc::CLOCK_REALTIME), monotonic_nanos());
        for index in 0..count as usize {
            each(self.decode(index, family, wall, now, not_before));
        }
        if (count as usize) < BATCH {
            Outcome::Empty
        } else {
            Outcome::More
        }
    }

    fn decode(&self, index: usize, family: i32, wall: u64, now: u64, not_before: u64) -> Received<'_> {
        let header = &self.headers[index];
        if header.msg_hdr.msg_flags & (libc::MSG_TRUNC | libc::MSG_CTRUNC) != 0 {
            return Received::Malformed;
        }
        let control = Control::read(header, &self.controls[index]);
        let age = control.stamp.map_or(0, |stamp| wall.saturating_sub(stamp));
        let at = now.saturating_sub(age).clamp(not_before.min(now), now);
        let data = &self.buffers[index][..(header.msg_len as usize).min(BUFFER_BYTES)];
        if family == libc::AF_INET {
            if data.len() < 20 || data[0] >> 4 != 4 {
                return Received::Malformed;
            }
            let header_length = (data[0] & 15) as usize * 4;
            if header_length < 20 || header_length > data.len() {
                return Received::Malformed;
            }
            return Received::Frame(Frame {
                at,
                hop_limit: data[8] as u16,
                interface_index: control.interface_index,
                source: &data[12..16],
                destination: &data[16..20],
                data,
                header_length,
            });
        }
        Received::Frame(Frame {
            at,
            hop_limit: control.hop_limit,
            interface_index: control.interface_index,
            source: &self.names[index].sin6_addr.s6_addr,
            destination: control.destination,
            data,
            header_length: 0,
        })
    }
}

/// The control messages of one frame.
struct Control<'a> {
    /// CLOCK_REALTIME nanoseconds.
    stamp: Option<u64>,
    interface_index: u32,
    hop_limit: u16,
    destination: &'a [u8],
}

impl<'a> Control<'a> {
    fn read(header: &libc::mmsghdr, bytes: &'a [u64; CONTROL_BYTES / 8]) -> Self {
        let mut control =
            Self { stamp: None, interface_index: 0, hop_limit: 0, destination: &[0u8; 16] };
        let area = unsafe { std::slice::from_raw_parts(bytes.as_ptr().cast::<u8>(), CONTROL_BYTES) };
        let mut message = unsafe { libc::CMSG_FIRSTHDR(&header.msg_hdr) };
        while !message.is_null() {
            let (level, kind, start) = unsafe {
                (
                    (*message).cmsg_level,
                    (*message).cmsg_type,
                    libc::CMSG_DATA(message) as usize - area.as_ptr() as usize,
                )
            };
            let word = |at: usize| {
                u32::from_ne_bytes([area[at], area[at + 1], area[at + 2], area[at + 3]])
            };
            match (level, kind) {
                (libc::SOL_SOCKET, libc::SCM_TIMESTAMPNS) => {
                    let time: libc::timespec = unsafe {
                        std::ptr::read_unaligned(area.as_ptr().add(start).cast())
                    };
                    control.stamp = Some(time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64);
                }
                (libc::IPPROTO_IP, libc::IP_PKTINFO) => control.interface_index = word(start),
                (libc::IPPROTO_IPV6, libc::IPV6_PKTINFO) => {
                    control.destination = &area[start..start + 16];
                    control.interface_index = word(start + 16);
                }
                (libc::IPPROTO_IPV6, libc::IPV6_HOPLIMIT) => control.hop_limit = word(start) as u16,
                _ => {}
            }
            message = unsafe { libc::CMSG_NXTHDR(&header.msg_hdr, message) };
        }
        control
    }
}

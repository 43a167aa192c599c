//! Many connected stream sockets, received from and sent to in batches: one call from JavaScript for all that are
//! ready. epoll(7) is edge-triggered here, so that a socket which was read is not asked again whether it has more.

use crate::syscalls::{errno, result};
use napi::bindgen_prelude::*;
use napi_derive::napi;

/// Most sockets received from in one call.
const BATCH: usize = 64;
/// Numbers per socket in the results of `receive`, and per part of `send`.
const RECEIVED_WIDTH: usize = 3;
const PART_WIDTH: usize = 4;
/// What interrupts a wait; no socket has this token and descriptor.
const INTERRUPT: u64 = u64::MAX;

#[napi]
pub struct StreamSet {
    epoll_fd: i32,
}

#[napi]
impl StreamSet {
    #[napi(constructor)]
    pub fn new() -> Result<Self> {
        let epoll_fd = unsafe { libc::epoll_create1(libc::EPOLL_CLOEXEC) };
        if epoll_fd < 0 {
            return Err(Error::from_reason(format!("epoll: errno {}", errno())));
        }
        Ok(Self { epoll_fd })
    }

    /// Readiness of `fd`, level-triggered, ends the wait of `receive`. Returns 0 or `-errno`.
    #[napi]
    pub fn interrupt_by(&self, fd: i32) -> i32 {
        let mut event = libc::epoll_event { events: libc::EPOLLIN as u32, u64: INTERRUPT };
        result(unsafe { libc::epoll_ctl(self.epoll_fd, libc::EPOLL_CTL_ADD, fd, &mut event) })
    }

    /// EPOLL_CTL_ADD. What waits already counts as news. Returns 0 or `-errno`.
    #[napi]
    pub fn add(&self, fd: i32, token: u32) -> i32 {
        let mut event = libc::epoll_event {
            events: (libc::EPOLLIN | libc::EPOLLRDHUP | libc::EPOLLET) as u32,
            u64: (u64::from(token) << 32) | fd as u32 as u64,
        };
        result(unsafe { libc::epoll_ctl(self.epoll_fd, libc::EPOLL_CTL_ADD, fd, &mut event) })
    }

    /// EPOLL_CTL_DEL. Returns 0 or `-errno`.
    #[napi]
    pub fn remove(&self, fd: i32) -> i32 {
        result(unsafe {
            libc::epoll_ctl(self.epoll_fd, libc::EPOLL_CTL_DEL, fd, std::ptr::null_mut())
        })
    }

    /// recv(2), once, of every socket with news; when there is none, it is waited for up to `wait_ms`. The bytes of the n-th go to `n * stride` in `into`,
    /// `slot` bytes at most; `[token, length or -errno, bytes at the end that are those of the one before]` to `results`. A socket
    /// that filled its slot may have more, and is not news again until more comes. Returns how many sockets, or `-errno`.
    #[napi]
    pub fn receive(
        &self,
        mut into: Uint8Array,
        slot: u32,
        stride: u32,
        mut results: Int32Array,
        wait_ms: i32,
    ) -> i32 {
        let (into, results) = unsafe { (into.as_mut(), results.as_mut()) };
        let (slot, stride) = (slot as usize, stride as usize);
        if slot == 0 || stride < slot || into.len() < slot {
            return -libc::EINVAL;
        }
        let most = BATCH
            .min(results.len() / RECEIVED_WIDTH)
            .min((into.len() - slot) / stride + 1);
        let mut events = [libc::epoll_event { events: 0, u64: 0 }; BATCH];
        let count =
            unsafe { libc::epoll_wait(self.epoll_fd, events.as_mut_ptr(), most as i32, wait_ms) };
        if count < 0 {
            return result(count);
        }
        let mut place = 0;
        let mut before = 0;
        for event in &events[..count as usize] {
            let mark = event.u64;
            if mark == INTERRUPT {
                continue;
            }
            let at = place * stride;
            let target = &mut into[at..at + slot];
            let flags = libc::MSG_DONTWAIT;
            // Not recv(3): where a thread may be cancelled in a call, the C library announces each.
            let got = unsafe {
                libc::syscall(
                    libc::SYS_recvfrom,
                    mark as u32 as i32,
                    target.as_mut_ptr(),
                    target.len(),
                    flags,
                    std::ptr::null_mut::<libc::sockaddr>(),
                    std::ptr::null_mut::<libc::socklen_t>(),
                )
            };
            let length = got.max(0) as usize;
            let result = &mut results[place * RECEIVED_WIDTH..(place + 1) * RECEIVED_WIDTH];
            result[0] = (mark >> 32) as i32;
            result[1] = if got < 0 { -errno() } else { length as i32 };
            result[2] = if place == 0 {
                0
            } else {
                common_end(&into[at - stride..at - stride + before], &into[at..at + length]) as i32
            };
            before = length;
            place += 1;
        }
        place as i32
    }

    /// send(2) of `count` parts of `from`, each `[fd, offset, length, …]` in `parts`; the fourth number becomes what the
    /// kernel took, or `-errno`. Returns how many parts were not taken whole.
    #[napi]
    pub fn send(&self, from: &[u8], mut parts: Int32Array, count: u32) -> u32 {
        let parts = unsafe { parts.as_mut() };
        let mut short = 0;
        for part in parts.chunks_exact_mut(PART_WIDTH).take(count as usize) {
            let (fd, offset, length) = (part[0], part[1] as usize, part[2] as usize);
            let sent = match from.get(offset..offset.saturating_add(length)) {
                None => -libc::EINVAL,
                Some(bytes) => {
                    let flags = libc::MSG_DONTWAIT | libc::MSG_NOSIGNAL;
                    let sent = unsafe {
                        libc::syscall(
                            libc::SYS_sendto,
                            fd,
                            bytes.as_ptr(),
                            bytes.len(),
                            flags,
                            std::ptr::null::<libc::sockaddr>(),
                            0,
                        )
                    };
                    if sent < 0 { -errno() } else { sent as i32 }
                }
            };
            part[3] = sent;
            if sent != length as i32 {
                short += 1;
            }
        }
        short
    }
}

/// Bytes at the end of both that are the same.
fn common_end(one: &[u8], other: &[u8]) -> usize {
    const WORD: usize = 16;
    let most = one.len().min(other.len());
    let word = |bytes: &[u8], behind: usize| {
        let end = bytes.len() - behind;
        u128::from_le_bytes(bytes[end - WORD..end].try_into().unwrap())
    };
    let mut same = 0;
    while same + WORD <= most && word(one, same) == word(other, same) {
        same += WORD;
    }
    while same < most && one[one.len() - 1 - same] == other[other.len() - 1 - same] {
        same += 1;
    }
    same
}

impl Drop for StreamSet {
    fn drop(&mut self) {
        unsafe { libc::close(self.epoll_fd) };
    }
}

//! What JavaScript cannot do on Linux, and nothing else: system calls with their
//! errno, an epoll thread, and the real-time thread. Policy lives in TypeScript.

mod datagram;
mod lock;
mod poller;
mod realtime;
mod realtime_face;
mod syscalls;

//! What JavaScript cannot do on Linux, and nothing else: system calls with their
//! errno, an epoll thread, sockets in batches, and the real-time thread. Policy lives in TypeScript.

mod datagram;
mod lock;
mod poller;
mod realtime;
mod realtime_face;
mod stream_set;
mod syscalls;

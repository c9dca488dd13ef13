//! The byte stream of a client after its handshake, encrypted by rustls. Knows no HTTP.
//!
//! Written bytes are gathered until they are flushed: small writes share a record, and several records share a system call.
//! Reading never writes and writing never reads, except for the alert that says why the connection failed.

use std::io::{self, BufRead, ErrorKind, IoSlice, Read, Write};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use rustls::ServerConnection;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::pieces::Pieces;
use super::stream_buffers::{Buffer, PIECE, StreamBuffers};

/// Plaintext bytes of a full record (RFC 8446 section 5.1).
const RECORD: usize = 16 * 1024;
/// Plaintext bytes in records that wait for the socket. When they are that many, they are sent without being flushed. That is
/// one large read from a backend. Otherwise the end of each read would take a system call of its own.
const BATCH: usize = 3 * RECORD;
/// Most bytes that are copied so that they share a record with later ones. A record of their own costs less than a copy of more.
const SHARED: usize = 2048;
/// Slices that become one record. More of them become several.
const SLICES: usize = 16;
/// Bytes that rustls' buffer holds when it is not in the middle of a larger record.
const SMALL_READ: usize = 4096;

/// An accepted TLS connection.
#[derive(Debug)]
pub struct TlsStream<S> {
    io: S,
    connection: ServerConnection,
    buffers: Arc<StreamBuffers>,
    /// Bytes from the client that rustls has not taken yet.
    received: Option<Buffer>,
    /// Plaintext for the client, less than a full record.
    gathered: Option<Buffer>,
    /// Plaintext bytes in records that wait for the socket.
    unsent: usize,
    /// `true` from the moment when the socket took not all until it has.
    is_blocked: bool,
    /// `true` once the socket has taken bytes since something was last written.
    has_progressed: bool,
    /// `true` once nothing more may be written.
    is_shut_down: bool,
    /// `true` once the client has broken the protocol, or has said that we did.
    has_failed: bool,
    /// `true` once rustls' buffer may have grown.
    has_grown: bool,
}

impl<S> TlsStream<S>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    /// Continues `connection` on `io` after its handshake.
    pub(super) fn new(
        io: S,
        mut connection: ServerConnection,
        buffers: Arc<StreamBuffers>,
    ) -> Self {
        // The stream has limits of its own, which fit whole records.
        connection.set_buffer_limit(None);
        Self {
            io,
            connection,
            buffers,
            received: None,
            gathered: None,
            unsent: 0,
            is_blocked: false,
            has_progressed: false,
            is_shut_down: false,
            has_failed: false,
            has_grown: false,
        }
    }

    /// Moves decrypted bytes to `buf`. Returns `Ok` when `buf` is full or the client has closed the stream, and `WouldBlock`
    /// when more must be decrypted.
    fn take_plaintext(&mut self, buf: &mut ReadBuf<'_>) -> io::Result<()> {
        while buf.remaining() > 0 {
            let mut reader = self.connection.reader();
            let chunk = reader.fill_buf()?;
            if chunk.is_empty() {
                return Ok(());
            }
            let len = chunk.len().min(buf.remaining());
            for piece in chunk[..len].chunks(PIECE) {
                buf.put_slice(piece);
            }
            reader.consume(len);
        }
        Ok(())
    }

    /// Receives bytes from the socket.
    fn poll_receive(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let io = Pin::new(&mut self.io);
        let received = self.buffers.read(|bytes| io.poll_read(cx, bytes));
        if received.is_pending() && self.has_grown {
            // Has rustls shrink its buffer, unless there is a part of a record in it.
            let _ = self.connection.read_tls(&mut Nothing);
        }
        match ready!(received)? {
            Some(buffer) => {
                self.has_grown |= buffer.filled().len() > SMALL_READ;
                self.received = Some(buffer);
            }
            None => drop(self.connection.read_tls(&mut io::empty())?),
        }
        Poll::Ready(Ok(()))
    }

    /// Decrypts some of the received bytes.
    fn decrypt(&mut self, cx: &mut Context<'_>) -> io::Result<()> {
        let Some(mut buffer) = self.received.take() else {
            return Ok(());
        };
        let taken = self.connection.read_tls(&mut buffer);
        if buffer.is_empty() {
            self.buffers.put_back(buffer);
        } else {
            self.received = Some(buffer);
        }
        taken?;
        if self.connection.process_new_packets().is_err() {
            self.has_failed = true;
            self.received = None;
            // Sends the alert if that can be done at once.
            let _ = self.poll_send(cx);
        }
        Ok(())
    }

    /// Returns the error of a connection that has failed. rustls keeps it.
    fn failure(&mut self) -> io::Error {
        match self.connection.process_new_packets() {
            Ok(_) => ErrorKind::InvalidData.into(),
            Err(error) => io::Error::new(ErrorKind::InvalidData, error),
        }
    }

    /// Keeps plaintext until it is flushed or fills a record.
    fn gather(&mut self, pieces: &mut Pieces<'_>) {
        let gathered = self.gathered.get_or_insert_with(|| self.buffers.take());
        while let Some(piece) = pieces.next(RECORD) {
            gathered.append(piece);
        }
    }

    fn gathered_len(&self) -> usize {
        self.gathered.as_ref().map_or(0, |it| it.filled().len())
    }

    /// Makes a record of what was gathered and of `more`.
    fn encrypt(&mut self, more: &mut Pieces<'_>) -> io::Result<()> {
        let gathered = self.gathered.take();
        let mut slices = [IoSlice::new(&[]); SLICES];
        let (mut count, mut room) = (0, RECORD);
        let first = gathered.as_ref().map_or(&[][..], Buffer::filled);
        for piece in first.chunks(PIECE) {
            slices[count] = IoSlice::new(piece);
            (count, room) = (count + 1, room - piece.len());
        }
        while count < SLICES
            && let Some(piece) = more.next(room)
        {
            slices[count] = IoSlice::new(piece);
            (count, room) = (count + 1, room - piece.len());
        }
        let taken = self.connection.writer().write_vectored(&slices[..count])?;
        if let Some(gathered) = gathered {
            self.buffers.put_back(gathered);
        }
        self.unsent += taken;
        if taken + room == RECORD {
            Ok(())
        } else {
            Err(ErrorKind::WriteZero.into())
        }
    }

    fn encrypt_gathered(&mut self) -> io::Result<()> {
        if self.gathered.is_some() {
            self.encrypt(&mut Pieces::new(&[]))?;
        }
        Ok(())
    }

    /// Sends all records that wait for the socket.
    fn poll_send(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while self.connection.wants_write() {
            let mut socket = Socket {
                io: Pin::new(&mut self.io),
                cx,
            };
            match self.connection.write_tls(&mut socket) {
                Ok(0) => return Poll::Ready(Err(ErrorKind::WriteZero.into())),
                Ok(sent) => {
                    self.unsent = self.unsent.saturating_sub(sent);
                    self.has_progressed = true;
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    self.is_blocked = true;
                    return Poll::Pending;
                }
                Err(error) => return Poll::Ready(Err(error)),
            }
        }
        self.unsent = 0;
        self.is_blocked = false;
        Poll::Ready(Ok(()))
    }
}

impl<S> AsyncRead for TlsStream<S>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    /// Reads as much as was received. The end of the socket without `close_notify` is [`ErrorKind::UnexpectedEof`].
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if buf.remaining() == 0 {
            return Poll::Ready(Ok(()));
        }
        let before = buf.filled().len();
        loop {
            let taken = this.take_plaintext(buf);
            let has_read = buf.filled().len() > before;
            match taken {
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                _ if has_read => return Poll::Ready(Ok(())),
                ended => {
                    // Nothing that follows `close_notify` is read.
                    this.received = None;
                    return Poll::Ready(ended);
                }
            }
            if has_read && (this.received.is_none() || this.has_failed) {
                return Poll::Ready(Ok(()));
            }
            if this.has_failed {
                return Poll::Ready(Err(this.failure()));
            }
            if this.received.is_none() {
                ready!(this.poll_receive(cx))?;
            }
            this.decrypt(cx)?;
        }
    }
}

impl<S> AsyncWrite for TlsStream<S>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.poll_write_vectored(cx, &[IoSlice::new(buf)])
    }

    /// Takes what is written. While the socket does not take all of it, more is taken only after the socket has taken bytes, and
    /// beyond a limit only in place of whole records. So a client is seen to read if it does, however slowly, and only then.
    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        if this.is_shut_down {
            return Poll::Ready(Err(ErrorKind::BrokenPipe.into()));
        }
        if (this.is_blocked || this.unsent >= BATCH) && this.poll_send(cx)?.is_pending() {
            if this.unsent > BATCH - RECORD {
                // A connection that holds this much keeps no buffer of its worker.
                this.encrypt_gathered()?;
                return Poll::Pending;
            }
            if !this.has_progressed {
                return Poll::Pending;
            }
        }
        this.has_progressed = false;
        let mut pieces = Pieces::new(bufs);
        let all = pieces.left;
        while pieces.left > 0 && this.unsent < BATCH {
            if pieces.left <= SHARED && this.gathered_len() + pieces.left < RECORD {
                this.gather(&mut pieces);
            } else {
                this.encrypt(&mut pieces)?;
            }
        }
        Poll::Ready(Ok(all - pieces.left))
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if this.is_blocked {
            // Small writes that come meanwhile share a record.
            ready!(this.poll_send(cx))?;
        }
        this.encrypt_gathered()?;
        ready!(this.poll_send(cx))?;
        Pin::new(&mut this.io).poll_flush(cx)
    }

    /// Sends all that was written, then `close_notify`, and shuts the socket down.
    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if !this.is_shut_down {
            this.is_shut_down = true;
            // A connection that has failed can send nothing but its alert.
            let _ = this.encrypt_gathered();
            this.connection.send_close_notify();
        }
        ready!(this.poll_send(cx))?;
        match ready!(Pin::new(&mut this.io).poll_shutdown(cx)) {
            Err(error) if error.kind() == ErrorKind::NotConnected => Poll::Ready(Ok(())),
            result => Poll::Ready(result),
        }
    }
}

/// A socket on which rustls writes. It would block where the task must wait.
struct Socket<'a, 'b, S> {
    io: Pin<&'a mut S>,
    cx: &'a mut Context<'b>,
}

impl<S: AsyncWrite> Write for Socket<'_, '_, S> {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        or_would_block(self.io.as_mut().poll_write(self.cx, buf))
    }

    fn write_vectored(&mut self, bufs: &[IoSlice<'_>]) -> io::Result<usize> {
        match bufs {
            // One slice is sent by a cheaper system call.
            [one] => self.write(one),
            several => or_would_block(self.io.as_mut().poll_write_vectored(self.cx, several)),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn or_would_block<T>(polled: Poll<io::Result<T>>) -> io::Result<T> {
    match polled {
        Poll::Ready(result) => result,
        Poll::Pending => Err(ErrorKind::WouldBlock.into()),
    }
}

/// A socket on which nothing has arrived.
struct Nothing;

impl Read for Nothing {
    fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
        Err(ErrorKind::WouldBlock.into())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;
    use std::task::Waker;

    use rustls::crypto::aws_lc_rs::default_provider;
    use rustls::pki_types::{PrivateKeyDer, ServerName};
    use rustls::version::{TLS12, TLS13};
    use rustls::{ClientConfig, ClientConnection, RootCertStore, ServerConfig};
    use rustls::{ConnectionCommon, SupportedProtocolVersion};

    use super::*;

    /// A socket whose other end is in the same thread.
    struct Wire {
        incoming: VecDeque<u8>,
        has_ended: bool,
        /// Bytes that one call returns at most.
        most_read: usize,
        outgoing: Vec<u8>,
        /// Bytes that are taken until the next call that would block.
        room: usize,
        /// Room after that call.
        room_later: usize,
        writes: usize,
        write_error: Option<ErrorKind>,
        has_shut_down: bool,
    }

    impl Wire {
        fn new() -> Self {
            Self {
                incoming: VecDeque::new(),
                has_ended: false,
                most_read: usize::MAX,
                outgoing: Vec::new(),
                room: usize::MAX,
                room_later: usize::MAX,
                writes: 0,
                write_error: None,
                has_shut_down: false,
            }
        }

        /// Returns the lengths of the records that were written.
        fn records(&self) -> Vec<usize> {
            let mut bytes = &self.outgoing[..];
            let mut lengths = Vec::new();
            while let [_, _, _, high, low, rest @ ..] = bytes {
                let len = usize::from(u16::from_be_bytes([*high, *low]));
                lengths.push(len);
                bytes = &rest[len..];
            }
            lengths
        }
    }

    impl AsyncRead for Wire {
        fn poll_read(
            mut self: Pin<&mut Self>,
            _: &mut Context<'_>,
            buf: &mut ReadBuf<'_>,
        ) -> Poll<io::Result<()>> {
            let len = self.incoming.len().min(self.most_read).min(buf.remaining());
            if len == 0 && !self.has_ended {
                return Poll::Pending;
            }
            buf.put_slice(&self.incoming.drain(..len).collect::<Vec<_>>());
            Poll::Ready(Ok(()))
        }
    }

    impl AsyncWrite for Wire {
        fn poll_write(
            self: Pin<&mut Self>,
            cx: &mut Context<'_>,
            buf: &[u8],
        ) -> Poll<io::Result<usize>> {
            self.poll_write_vectored(cx, &[IoSlice::new(buf)])
        }

        fn poll_write_vectored(
            mut self: Pin<&mut Self>,
            _: &mut Context<'_>,
            bufs: &[IoSlice<'_>],
        ) -> Poll<io::Result<usize>> {
            if let Some(error) = self.write_error {
                return Poll::Ready(Err(error.into()));
            }
            self.writes += 1;
            if self.room == 0 {
                self.room = self.room_later;
                return Poll::Pending;
            }
            let before = self.room;
            for buf in bufs {
                let taken = buf.len().min(self.room);
                self.room -= taken;
                self.outgoing.extend_from_slice(&buf[..taken]);
            }
            Poll::Ready(Ok(before - self.room))
        }

        fn is_write_vectored(&self) -> bool {
            true
        }

        fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }

        fn poll_shutdown(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            self.has_shut_down = true;
            Poll::Ready(Ok(()))
        }
    }

    /// A stream and its client, which have done their handshake.
    struct Pair {
        client: ClientConnection,
        stream: TlsStream<Wire>,
    }

    /// Moves all that `from` has to send to `to`.
    fn exchange<A, B>(from: &mut ConnectionCommon<A>, to: &mut ConnectionCommon<B>) {
        let mut bytes = Vec::new();
        while from.wants_write() {
            from.write_tls(&mut bytes).unwrap();
        }
        let mut bytes = &bytes[..];
        while !bytes.is_empty() {
            to.read_tls(&mut bytes).unwrap();
            to.process_new_packets().unwrap();
        }
    }

    fn cx() -> Context<'static> {
        Context::from_waker(Waker::noop())
    }

    fn body(len: usize) -> Vec<u8> {
        let numbers = (0_u32..).flat_map(u32::to_be_bytes);
        numbers.take(len).collect()
    }

    impl Pair {
        fn new(version: &'static SupportedProtocolVersion) -> Self {
            let made = rcgen::generate_simple_self_signed(["example.org".to_owned()]).unwrap();
            let provider = Arc::new(default_provider());
            let key = PrivateKeyDer::try_from(made.signing_key.serialize_der()).unwrap();
            let config = ServerConfig::builder_with_provider(Arc::clone(&provider))
                .with_protocol_versions(&[version])
                .unwrap()
                .with_no_client_auth()
                .with_single_cert(vec![made.cert.der().clone()], key)
                .unwrap();
            let mut server = ServerConnection::new(Arc::new(config)).unwrap();
            let mut roots = RootCertStore::empty();
            roots.add(made.cert.der().clone()).unwrap();
            let config = ClientConfig::builder_with_provider(provider)
                .with_protocol_versions(&[version])
                .unwrap()
                .with_root_certificates(roots)
                .with_no_client_auth();
            let name = ServerName::try_from("example.org").unwrap();
            let mut client = ClientConnection::new(Arc::new(config), name).unwrap();
            while client.is_handshaking() || server.is_handshaking() || server.wants_write() {
                exchange(&mut client, &mut server);
                exchange(&mut server, &mut client);
            }
            Self {
                client,
                stream: TlsStream::new(Wire::new(), server, Arc::default()),
            }
        }

        fn client_sends(&mut self, bytes: &[u8]) {
            self.client.set_buffer_limit(None);
            self.client.writer().write_all(bytes).unwrap();
            self.client_sends_records();
        }

        fn client_sends_records(&mut self) {
            let mut sent = Vec::new();
            while self.client.wants_write() {
                self.client.write_tls(&mut sent).unwrap();
            }
            self.stream.io.incoming.extend(sent);
        }

        /// Gives the client all that was written. Returns what it reads, and how that ends.
        fn client_receives(&mut self) -> (Vec<u8>, io::Result<()>) {
            let written = std::mem::take(&mut self.stream.io.outgoing);
            let (mut written, mut read) = (&written[..], Vec::new());
            loop {
                let ended = loop {
                    let mut some = [0; 4096];
                    match self.client.reader().read(&mut some) {
                        Ok(0) => break Ok(()),
                        Ok(len) => read.extend_from_slice(&some[..len]),
                        Err(error) => break Err(error),
                    }
                };
                if written.is_empty() {
                    return (read, ended);
                }
                self.client.read_tls(&mut written).unwrap();
                if let Err(error) = self.client.process_new_packets() {
                    return (read, Err(io::Error::other(error)));
                }
            }
        }

        fn read(&mut self, most: usize) -> Poll<io::Result<Vec<u8>>> {
            let mut bytes = vec![0; most];
            let mut buf = ReadBuf::new(&mut bytes);
            ready!(Pin::new(&mut self.stream).poll_read(&mut cx(), &mut buf))?;
            Poll::Ready(Ok(buf.filled().to_vec()))
        }

        /// Reads until nothing more has arrived.
        fn read_all(&mut self, most: usize) -> Vec<u8> {
            let mut all = Vec::new();
            while let Poll::Ready(Ok(bytes)) = self.read(most) {
                assert!(!bytes.is_empty());
                all.extend(bytes);
            }
            all
        }

        fn write(&mut self, bytes: &[u8]) -> Poll<io::Result<usize>> {
            Pin::new(&mut self.stream).poll_write(&mut cx(), bytes)
        }

        /// Writes all, however often the socket blocks.
        fn write_all(&mut self, mut bytes: &[u8]) {
            while !bytes.is_empty() {
                if let Poll::Ready(written) = self.write(bytes) {
                    bytes = &bytes[written.unwrap()..];
                }
            }
        }

        fn flush(&mut self) -> Poll<io::Result<()>> {
            Pin::new(&mut self.stream).poll_flush(&mut cx())
        }

        fn flush_all(&mut self) {
            while self.flush().map(Result::unwrap).is_pending() {}
        }

        fn shut_down(&mut self) -> Poll<io::Result<()>> {
            Pin::new(&mut self.stream).poll_shutdown(&mut cx())
        }

        fn holds_no_buffer(&self) -> bool {
            self.stream.received.is_none() && self.stream.gathered.is_none()
        }
    }

    fn kind<T>(polled: Poll<io::Result<T>>) -> Option<ErrorKind> {
        match polled {
            Poll::Ready(result) => result.err().map(|error| error.kind()),
            Poll::Pending => None,
        }
    }

    #[test]
    fn small_writes_before_a_flush_share_a_record_and_a_call() {
        for version in [&TLS12, &TLS13] {
            let mut pair = Pair::new(version);
            for piece in ["head ", "frame ", "body"] {
                pair.write_all(piece.as_bytes());
            }
            assert_eq!(pair.stream.io.writes, 0, "nothing was flushed");
            pair.flush_all();
            assert_eq!(pair.stream.io.writes, 1);
            assert_eq!(pair.stream.io.records().len(), 1);
            assert!(pair.holds_no_buffer());
            assert_eq!(pair.client_receives().0, b"head frame body");
            pair.flush_all();
            assert_eq!(pair.stream.io.writes, 1, "nothing is left");
        }
    }

    #[test]
    fn a_large_body_leaves_in_full_records_several_at_once() {
        let mut pair = Pair::new(&TLS13);
        let body = body(1 << 20);
        for frame in body.chunks(RECORD + 9) {
            let (head, rest) = frame.split_at(9);
            let slices = [IoSlice::new(head), IoSlice::new(rest)];
            let stream = Pin::new(&mut pair.stream);
            match stream.poll_write_vectored(&mut cx(), &slices) {
                Poll::Ready(Ok(written)) => pair.write_all(&frame[written..]),
                other => panic!("{other:?}"),
            }
        }
        pair.flush_all();
        let records = pair.stream.io.records();
        assert_eq!(records.len(), 64);
        assert!(records.iter().all(|len| *len == records[0]), "{records:?}");
        assert_eq!(pair.stream.io.writes, 22);
        assert!(pair.holds_no_buffer());
        assert!(pair.client_receives().0 == body);
    }

    #[test]
    fn a_large_write_is_encrypted_at_once_and_shares_no_record_with_the_next() {
        let mut pair = Pair::new(&TLS13);
        let body = body(3 * 12_000);
        for frame in body.chunks(12_000) {
            pair.write_all(frame);
            assert_eq!(pair.stream.gathered_len(), 0, "a copy");
        }
        pair.flush_all();
        let records = pair.stream.io.records();
        assert_eq!(records.len(), 3, "{records:?}");
        assert_eq!(pair.stream.io.writes, 1);

        // The end of a write that is larger than a record is copied only if it is small.
        for (len, gathered) in [(RECORD + SHARED, SHARED), (RECORD + SHARED + 1, 0)] {
            pair.write_all(&body[..len]);
            assert_eq!(pair.stream.gathered_len(), gathered);
            pair.flush_all();
        }
        assert_eq!(pair.stream.io.records().len(), 3 + 2 + 2);
    }

    #[test]
    fn many_small_slices_are_all_sent() {
        let mut pair = Pair::new(&TLS13);
        let body = body(3 * BATCH);
        let slices: Vec<_> = body.chunks(700).map(IoSlice::new).collect();
        let written = Pin::new(&mut pair.stream).poll_write_vectored(&mut cx(), &slices);
        let Poll::Ready(Ok(written)) = written else {
            panic!("{written:?}");
        };
        assert!((BATCH..BATCH + RECORD).contains(&written), "{written}");
        pair.write_all(&body[written..]);
        pair.flush_all();
        assert!(pair.client_receives().0 == body);
    }

    #[test]
    fn records_that_the_socket_cuts_arrive_whole() {
        for room in [1, 2, 5, 6, 1000, 16_405, 16_406, 16_407, 80_000] {
            for version in [&TLS12, &TLS13] {
                let mut pair = Pair::new(version);
                (pair.stream.io.room, pair.stream.io.room_later) = (room, room);
                let body = body(if room < 100 { 20_000 } else { 200_000 });
                pair.write_all(b"head");
                pair.flush_all();
                pair.write_all(&body);
                pair.flush_all();
                assert!(
                    pair.client_receives().0 == [b"head", &body[..]].concat(),
                    "{room}"
                );
            }
        }
    }

    #[test]
    fn records_that_arrive_in_pieces_are_read() {
        for most_read in [1, 2, 5, 6, 21, 4095, 4096, 4097, 16_405, 16_406, 40_000] {
            for version in [&TLS12, &TLS13] {
                let mut pair = Pair::new(version);
                pair.stream.io.most_read = most_read;
                let body = body(if most_read < 100 { 20_000 } else { 200_000 });
                for most in [1 + most_read / 7, 1000, 65_536] {
                    pair.client_sends(b"head");
                    pair.client_sends(&body);
                    let read = pair.read_all(most);
                    assert!(read == [b"head", &body[..]].concat(), "{most_read} {most}");
                    assert!(pair.holds_no_buffer());
                }
            }
        }
    }

    #[test]
    fn a_read_returns_what_has_arrived() {
        let mut pair = Pair::new(&TLS13);
        assert!(pair.read(10).is_pending());
        pair.client_sends(b"one");
        assert_eq!(pair.read_all(2), b"one");
        assert_eq!(pair.stream.buffers.take().filled(), b"");
    }

    #[test]
    fn a_read_into_no_room_loses_nothing() {
        let mut pair = Pair::new(&TLS13);
        let body = body(20_000);
        pair.client_sends(&body);
        let Poll::Ready(Ok(first)) = pair.read(10) else {
            panic!("nothing was read");
        };
        assert_eq!(first, body[..10]);
        assert!(matches!(pair.read(0), Poll::Ready(Ok(it)) if it.is_empty()));
        assert!(pair.read_all(1000) == body[10..]);
    }

    #[test]
    fn no_more_is_taken_than_one_batch_while_the_client_does_not_read() {
        let mut pair = Pair::new(&TLS13);
        (pair.stream.io.room, pair.stream.io.room_later) = (10, 0);
        let (body, mut taken) = (body(1 << 20), 0);
        while let Poll::Ready(written) = pair.write(&body[taken..]) {
            taken += written.unwrap();
        }
        assert!((BATCH..BATCH + RECORD).contains(&taken), "{taken}");
        assert!(pair.flush().is_pending());
        assert!(
            pair.write(b"x").is_pending(),
            "a flush that waits stops writes"
        );
        assert!(pair.holds_no_buffer());

        // Reading goes on meanwhile.
        pair.client_sends(b"still here");
        assert_eq!(pair.read_all(100), b"still here");

        (pair.stream.io.room, pair.stream.io.room_later) = (usize::MAX, usize::MAX);
        pair.write_all(&body[taken..]);
        pair.flush_all();
        assert!(pair.client_receives().0 == body);
    }

    #[test]
    fn a_client_that_reads_slowly_is_seen_to_read() {
        let mut pair = Pair::new(&TLS13);
        (pair.stream.io.room, pair.stream.io.room_later) = (0, 0);
        let (body, mut taken) = (body(1 << 20), 0);
        while let Poll::Ready(written) = pair.write(&body[taken..]) {
            taken += written.unwrap();
        }
        assert!(pair.flush().is_pending());
        while taken < body.len() - RECORD {
            pair.stream.io.room = RECORD / 2;
            assert!(pair.write(b"x").is_pending(), "less than a record");
            pair.stream.io.room = RECORD;
            let Poll::Ready(Ok(more)) = pair.write(&body[taken..]) else {
                panic!("the client has read a record");
            };
            taken += more;
            assert!(pair.flush().is_pending());
            assert!(pair.stream.unsent <= BATCH + RECORD);
        }
        pair.stream.io.room_later = usize::MAX;
        pair.write_all(&body[taken..]);
        pair.flush_all();
        assert!(pair.client_receives().0 == body);
    }

    #[test]
    fn a_client_that_reads_nothing_is_seen_to_read_nothing() {
        let mut pair = Pair::new(&TLS13);
        (pair.stream.io.room, pair.stream.io.room_later) = (10, 0);
        let body = body(1000);
        pair.write_all(&body);
        assert!(pair.flush().is_pending());
        // The socket has taken a part, so something may be written once.
        pair.write_all(b"first ");
        for _ in 0..3 {
            assert!(pair.flush().is_pending());
            assert!(pair.write(b"x").is_pending(), "the client reads nothing");
        }
        pair.stream.io.room = 1;
        assert!(pair.flush().is_pending());
        pair.write_all(b"second ");
        assert!(pair.write(b"x").is_pending(), "the client stopped again");

        (pair.stream.io.room, pair.stream.io.room_later) = (usize::MAX, usize::MAX);
        pair.write_all(b"third");
        pair.flush_all();
        let all = [&body[..], b"first second third"].concat();
        assert!(pair.client_receives().0 == all);
        assert!(pair.holds_no_buffer());
    }

    #[test]
    fn small_writes_that_wait_for_the_socket_share_a_record() {
        let mut pair = Pair::new(&TLS13);
        (pair.stream.io.room, pair.stream.io.room_later) = (10, 0);
        let body = body(1000);
        pair.write_all(&body);
        assert!(pair.flush().is_pending());
        for _ in 0..100 {
            pair.stream.io.room = 1;
            pair.write_all(b"xy");
            assert!(pair.flush().is_pending());
            assert!(pair.write(b"z").is_pending());
        }

        (pair.stream.io.room, pair.stream.io.room_later) = (usize::MAX, usize::MAX);
        assert!(matches!(pair.flush(), Poll::Ready(Ok(()))));
        assert_eq!(pair.stream.io.records().len(), 2);
        assert!(pair.client_receives().0 == [&body[..], &b"xy".repeat(100)].concat());
        assert!(pair.holds_no_buffer());
    }

    #[test]
    fn the_client_may_close_its_side_first() {
        let mut pair = Pair::new(&TLS13);
        pair.client.writer().write_all(b"last").unwrap();
        pair.client.send_close_notify();
        pair.client_sends_records();
        pair.stream.io.incoming.extend(b"no record at all");
        assert!(matches!(pair.read(100), Poll::Ready(Ok(it)) if it == b"last"));
        for _ in 0..2 {
            assert!(matches!(pair.read(100), Poll::Ready(Ok(it)) if it.is_empty()));
        }
        assert!(pair.holds_no_buffer());
        pair.write_all(b"answer");
        pair.flush_all();
        assert_eq!(pair.client_receives().0, b"answer");
    }

    #[test]
    fn the_end_of_the_socket_without_close_notify_is_an_error() {
        for is_within_record in [false, true] {
            let mut pair = Pair::new(&TLS13);
            pair.client_sends(b"last");
            if is_within_record {
                pair.client_sends(b"cut");
                pair.stream.io.incoming.pop_back();
            }
            pair.stream.io.has_ended = true;
            assert!(matches!(pair.read(100), Poll::Ready(Ok(it)) if it == b"last"));
            for _ in 0..2 {
                assert_eq!(kind(pair.read(100)), Some(ErrorKind::UnexpectedEof));
            }
            pair.write_all(b"answer");
            pair.flush_all();
            assert_eq!(pair.client_receives().0, b"answer");
        }
    }

    #[test]
    fn shutdown_sends_what_was_written_and_close_notify_once() {
        let mut pair = Pair::new(&TLS13);
        (pair.stream.io.room, pair.stream.io.room_later) = (3, 0);
        pair.write_all(b"last");
        assert!(pair.shut_down().is_pending());
        assert!(pair.shut_down().is_pending() && !pair.stream.io.has_shut_down);
        assert_eq!(kind(pair.write(b"more")), Some(ErrorKind::BrokenPipe));

        (pair.stream.io.room, pair.stream.io.room_later) = (usize::MAX, usize::MAX);
        for _ in 0..2 {
            assert!(matches!(pair.shut_down(), Poll::Ready(Ok(()))));
        }
        assert!(pair.stream.io.has_shut_down);
        assert_eq!(pair.stream.io.records().len(), 2);
        let (read, ended) = pair.client_receives();
        assert!(read == b"last" && ended.is_ok(), "{ended:?}");

        pair.client_sends(b"heard");
        assert_eq!(pair.read_all(100), b"heard");
    }

    #[test]
    fn a_client_may_change_its_keys_at_any_time() {
        let mut pair = Pair::new(&TLS13);
        let body = body(100_000);
        for round in 0..3 {
            // A write waits for the socket when the request comes, and its answer goes out after it.
            (pair.stream.io.room, pair.stream.io.room_later) = (10, 0);
            pair.write_all(&body[..40_000]);
            assert!(pair.flush().is_pending());
            pair.client_sends(b"before");
            pair.client.refresh_traffic_keys().unwrap();
            pair.client_sends(b" after");
            assert_eq!(pair.read_all(100), b"before after");

            (pair.stream.io.room, pair.stream.io.room_later) = (usize::MAX, usize::MAX);
            pair.write_all(&body[40_000..]);
            pair.flush_all();
            assert!(pair.client_receives().0 == body, "{round}");
        }
    }

    #[test]
    fn a_record_that_is_no_record_ends_the_connection_with_an_alert() {
        let mut pair = Pair::new(&TLS13);
        pair.client_sends(b"good");
        pair.client_sends(b"bad");
        *pair.stream.io.incoming.back_mut().unwrap() ^= 1;
        pair.client_sends(b"never read");
        assert!(matches!(pair.read(100), Poll::Ready(Ok(it)) if it == b"good"));
        for _ in 0..2 {
            assert_eq!(kind(pair.read(100)), Some(ErrorKind::InvalidData));
        }
        assert!(pair.holds_no_buffer());
        let (_, ended) = pair.client_receives();
        let alert = ended.unwrap_err().to_string();
        assert!(alert.contains("BadRecordMac"), "{alert}");
        // Nothing more is encrypted, and the socket is closed without a second alert.
        pair.write_all(b"too late");
        assert_eq!(kind(pair.flush()), Some(ErrorKind::InvalidData));
        assert!(matches!(pair.shut_down(), Poll::Ready(Ok(()))));
        assert!(pair.stream.io.outgoing.is_empty());
    }

    #[test]
    fn an_alert_of_the_client_is_the_error() {
        let mut pair = Pair::new(&TLS13);
        pair.write_all(b"x");
        pair.flush_all();
        *pair.stream.io.outgoing.last_mut().unwrap() ^= 1;
        assert!(pair.client_receives().1.is_err());
        pair.client_sends_records();
        let Poll::Ready(Err(error)) = pair.read(100) else {
            panic!("no error");
        };
        assert!(error.to_string().contains("BadRecordMac"), "{error}");
    }

    #[test]
    fn errors_of_the_socket_are_reported() {
        let mut pair = Pair::new(&TLS13);
        pair.stream.io.write_error = Some(ErrorKind::ConnectionReset);
        pair.write_all(b"gathered");
        assert_eq!(kind(pair.flush()), Some(ErrorKind::ConnectionReset));
        assert_eq!(kind(pair.shut_down()), Some(ErrorKind::ConnectionReset));

        let mut pair = Pair::new(&TLS13);
        pair.stream.io.write_error = Some(ErrorKind::ConnectionReset);
        let (body, mut taken) = (body(1 << 20), 0);
        let error = loop {
            match pair.write(&body[taken..]) {
                Poll::Ready(Ok(written)) => taken += written,
                other => break kind(other),
            }
        };
        assert_eq!(error, Some(ErrorKind::ConnectionReset));
    }
}

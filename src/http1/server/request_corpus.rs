//! Requests for tests: plain ones, hostile ones and random ones.

use crate::http1::hyper_comparison::mutate;

/// Requests, some of which are to be refused.
pub(super) const CORPUS: [&str; 40] = [
    "GET / HTTP/1.1\r\nHost: a\r\n\r\n",
    "GET /a?b=c#d HTTP/1.1\r\nHost: a\r\nAccept: */*\r\nCookie: a=b\r\n\r\n",
    "GET / HTTP/1.1\r\nHost: a\r\n\r\nGET /b HTTP/1.1\r\nHost: a\r\n\r\n",
    "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhelloGET / HTTP/1.1\r\n\r\n",
    "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\nGET / HTTP/1.1\r\n\r\n",
    "PUT / HTTP/1.1\r\nTransfer-Encoding: Chunked\r\nTrailer: x-t\r\n\r\n5;a=b\r\nhello\r\nA\r\n0123456789\r\n0\r\nx-t: 1\r\n\r\n",
    "GET / HTTP/1.0\r\n\r\nGET / HTTP/1.1\r\n\r\n",
    "GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\nGET / HTTP/1.0\r\n\r\n",
    "POST / HTTP/1.0\r\nContent-Length: 2\r\n\r\nok",
    "POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
    "GET / HTTP/1.1\r\nConnection: close\r\n\r\nGET / HTTP/1.1\r\n\r\n",
    "GET / HTTP/1.1\r\nConnection: x, CLOSE\r\nConnection: keep-alive\r\n\r\nGET / HTTP/1.1\r\n\r\n",
    "GET / HTTP/1.1\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\nbytes",
    "CONNECT a:443 HTTP/1.1\r\nHost: a:443\r\n\r\nbytes",
    "HEAD http://a/b HTTP/1.1\r\nHost: c\r\n\r\n",
    "OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n",
    "PATCH / HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\nokGET / HTTP/1.1\r\n\r\n",
    "POST / HTTP/1.1\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\nGET / HTTP/1.1\r\n\r\n",
    "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\nContent-Length: 2\r\n\r\n2\r\nok\r\n0\r\n\r\nGET / HTTP/1.1\r\n\r\n",
    "POST / HTTP/1.1\r\nTransfer-Encoding: gzip, chunked\r\n\r\n2\r\nok\r\n0\r\n\r\nGET / HTTP/1.1\r\n\r\n",
    "POST / HTTP/1.1\r\nTransfer-Encoding: chunked, gzip\r\n\r\n2\r\nok\r\n0\r\n\r\n",
    "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\nGET / HTTP/1.1\r\n\r\n",
    "POST / HTTP/1.1\r\nTransfer-Encoding: identity\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
    "POST / HTTP/1.1\r\nTransfer-Encoding:\x0bchunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
    "POST / HTTP/1.1\r\nContent-Length: 2\r\nContent-Length: 2\r\n\r\nokGET / HTTP/1.1\r\n\r\n",
    "POST / HTTP/1.1\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nokGET / HTTP/1.1\r\n\r\n",
    "POST / HTTP/1.1\r\nContent-Length: +2\r\n\r\nok",
    "POST / HTTP/1.1\r\nContent-Length: 2, 2\r\n\r\nok",
    "POST / HTTP/1.1\r\nContent-Length: 18446744073709551615\r\n\r\nok",
    "\r\n\r\nGET / HTTP/1.1\nx: y\n\n",
    "GET / HTTP/1.1\r\nx : y\r\n\r\n",
    "GET / HTTP/1.1\r\n folded: y\r\n\r\n",
    "GET / HTTP/1.1\r\nx: a\0b\r\n\r\n",
    "GET / HTTP/1.1\r\nx: \t \u{e4} \r\n: y\r\n\r\n",
    "GET /\u{e4} HTTP/1.1\r\n\r\n",
    "M-SEARCH * HTTP/1.1\r\nTE: trailers\r\n\r\n",
    "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "GET / HTTP/1.2\r\n\r\n",
    "POST / HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n00002 \t;x\r\nok\r\n0;y\r\na: b\r\nA:\r\n\r\nGET /r HTTP/1.1\r\n\r\n",
    "POST / HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n10000000000000000\r\nok\r\n0\r\n\r\nGET / HTTP/1.1\r\n\r\n",
];

/// Parts of requests, of which random messages are made.
const WORDS: [&str; 56] = [
    "\r\n",
    "\r\n\r\n",
    "\n",
    "\r",
    "\0",
    " ",
    "\t",
    ":",
    ": ",
    ",",
    ";",
    "#",
    "/",
    "*",
    "?",
    "0",
    "1",
    "2",
    "5",
    "f",
    "A",
    "00",
    "GET ",
    "POST ",
    "HEAD ",
    "CONNECT ",
    "/ ",
    "http://a/",
    " HTTP/1.1\r\n",
    " HTTP/1.0\r\n",
    "GET / HTTP/1.1\r\n",
    "GET / HTTP/1.1\r\n\r\n",
    "content-length",
    "content-length: 2\r\n",
    "Content-Length:",
    "transfer-encoding",
    "transfer-encoding: chunked\r\n",
    "transfer-encoding: gzip, chunked\r\n",
    "chunked",
    "gzip, ",
    "connection: ",
    "connection: close\r\n",
    "close",
    "keep-alive",
    "upgrade: x\r\n",
    "expect: 100-continue\r\n",
    "host: a\r\n",
    "x-a: b\r\n",
    "2\r\nok\r\n",
    "0\r\n\r\n",
    "0\r\n",
    "5\r\nhello\r\n",
    "ok",
    "\u{e4}",
    "\x7f",
    "trailer: x-a\r\n",
];

/// A random message: requests of the corpus with changes, or a head made of random words.
pub(super) fn random_message(random: &mut fastrand::Rng) -> Vec<u8> {
    if random.u8(..4) > 0 {
        let mut message = Vec::new();
        for _ in 0..random.usize(1..3) {
            let text = CORPUS[random.usize(..CORPUS.len())];
            message.extend_from_slice(text.as_bytes());
        }
        mutate(&mut message, &WORDS, random);
        return message;
    }
    let starts = ["GET / HTTP/1.1\r\n", "POST / HTTP/1.1\r\n", ""];
    let mut text = starts[random.usize(..starts.len())].to_owned();
    for _ in 0..random.usize(1..30) {
        text.push_str(WORDS[random.usize(..WORDS.len())]);
    }
    text.into_bytes()
}

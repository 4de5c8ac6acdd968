//! [`RegistryServer`]: a registry of this process that lets in who knows the password (as one with htpasswd does).

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

/// What `user:secret` becomes.
const LET_IN: &str = "authorization: basic dxnlcjpzzwnyzxq=";
const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";

/// Blobs and manifests by their names in paths.
type Content = Arc<Mutex<BTreeMap<String, Vec<u8>>>>;

/// Serves for as long as the process lives, in the network of the thread that started it.
pub(crate) struct RegistryServer {
    pub(crate) address: String,
}

struct Asked {
    method: String,
    path: String,
    let_in: bool,
    body: Vec<u8>,
}

impl RegistryServer {
    pub(crate) fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("bound").to_string();
        let content = Content::default();
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let content = Arc::clone(&content);
                // A client that goes away ends its own connection only.
                std::thread::spawn(move || drop(serve(stream, &content)));
            }
        });
        Self { address }
    }
}

fn serve(stream: TcpStream, content: &Content) -> std::io::Result<()> {
    let mut reader = BufReader::new(stream.try_clone()?);
    let mut stream = stream;
    while let Some(asked) = read(&mut reader)? {
        let (status, headers, body) = answer(&asked, content);
        let length = body.len();
        write!(stream, "HTTP/1.1 {status}\r\n{headers}Content-Length: {length}\r\n\r\n")?;
        if asked.method != "HEAD" {
            stream.write_all(&body)?;
        }
    }
    Ok(())
}

fn read(reader: &mut BufReader<TcpStream>) -> std::io::Result<Option<Asked>> {
    let mut line = String::new();
    if reader.read_line(&mut line)? == 0 {
        return Ok(None);
    }
    let mut words = line.split_whitespace().map(str::to_owned);
    let (method, path) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    let (mut length, mut chunked, mut let_in) = (0_u64, false, false);
    loop {
        let mut header = String::new();
        reader.read_line(&mut header)?;
        let header = header.trim().to_ascii_lowercase();
        if header.is_empty() {
            break;
        }
        if let Some(value) = header.strip_prefix("content-length:") {
            length = value.trim().parse().map_err(std::io::Error::other)?;
        }
        chunked |= header == "transfer-encoding: chunked";
        let_in |= header == LET_IN;
    }
    let mut body = Vec::new();
    if chunked {
        read_chunks(reader, &mut body)?;
    } else {
        reader.take(length).read_to_end(&mut body)?;
    }
    Ok(Some(Asked { method, path, let_in, body }))
}

fn read_chunks(reader: &mut BufReader<TcpStream>, body: &mut Vec<u8>) -> std::io::Result<()> {
    loop {
        let mut size = String::new();
        reader.read_line(&mut size)?;
        let size = u64::from_str_radix(size.trim(), 16).map_err(std::io::Error::other)?;
        reader.by_ref().take(size).read_to_end(body)?;
        reader.read_line(&mut String::new())?;
        if size == 0 {
            return Ok(());
        }
    }
}

fn answer(asked: &Asked, content: &Content) -> (&'static str, String, Vec<u8>) {
    if !asked.let_in {
        let error = br#"{"errors":[{"code":"UNAUTHORIZED","message":"authentication required"}]}"#.to_vec();
        return ("401 Unauthorized", "WWW-Authenticate: Basic realm=\"small\"\r\n".to_owned(), error);
    }
    let mut content = content.lock().expect("nobody panics with it");
    let (path, query) = asked.path.split_once('?').unwrap_or((&asked.path, ""));
    match asked.method.as_str() {
        "POST" => ("202 Accepted", format!("Location: {path}1?state=x\r\n"), Vec::new()),
        "PUT" => {
            let digest = query.split("digest=").nth(1).map(|digest| digest.replace("%3A", ":"));
            let name = match (digest, path.split_once("/blobs/uploads/")) {
                (Some(digest), Some((image, _))) => format!("{image}/blobs/{digest}"),
                _ => path.to_owned(),
            };
            content.insert(name, asked.body.clone());
            ("201 Created", String::new(), Vec::new())
        }
        _ if path == "/v2/" => ("200 OK", String::new(), b"{}".to_vec()),
        _ => match content.get(path) {
            Some(bytes) => {
                let kind = if path.contains("/manifests/") { MANIFEST } else { "application/octet-stream" };
                ("200 OK", format!("Content-Type: {kind}\r\n"), bytes.clone())
            }
            None => {
                let error =
                    br#"{"errors":[{"code":"MANIFEST_UNKNOWN","message":"manifest unknown"}]}"#.to_vec();
                ("404 Not Found", String::new(), error)
            }
        },
    }
}

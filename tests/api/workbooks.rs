//! Workbooks in and out, and what is said of tables beside their answers.

use mcvn::tables::{Limits, workbook_to_text};
use rust_xlsxwriter::Workbook;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::support::{Server, config};

const XLSX: &str = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet";
const PATH: &str = "/predict/steel?model=steel-tensile";

fn workbook() -> Vec<u8> {
    let mut workbook = Workbook::new();
    let sheet = workbook.add_worksheet();
    let rows: [&[&str]; 6] = [
        &["Tests of spring"],
        &[],
        &["heat", "C", "Si", "Mn", "Cr", "test_temperature"],
        &["", "wt%", "wt%", "wt%", "wt%", "°C"],
        &["A1", "0.12", "0.3", "0.5", "1", "27"],
        &["A2", "0.12", "0.3", "<0.5", "1", "500"],
    ];
    for (row, cells) in rows.iter().enumerate() {
        for (column, cell) in cells.iter().enumerate() {
            match cell.parse::<f64>() {
                Ok(number) => sheet.write(row as u32, column as u16, number).unwrap(),
                Err(_) => sheet.write(row as u32, column as u16, *cell).unwrap(),
            };
        }
    }
    workbook.save_to_buffer().unwrap()
}

const SAME: &str = "heat,C,Si,Mn,Cr,test_temperature\nA1,0.12,0.3,0.5,1,27\nA2,0.12,0.3,<0.5,1,500\n";

async fn post(server: &Server, kind: &str, accept: &str, body: Vec<u8>) -> reqwest::Response {
    let request = server.client.post(format!("{}{PATH}", server.url)).header("content-type", kind);
    request.header("accept", accept).body(body).send().await.unwrap()
}

#[tokio::test]
async fn a_workbook_is_answered_as_the_same_table_is() {
    let server = Server::start().await;
    let expected = post(&server, "text/csv", "*/*", SAME.into()).await.text().await.unwrap();
    for kind in [XLSX, "text/csv", "application/vnd.ms-excel", "application/octet-stream"] {
        let text = post(&server, kind, "text/csv", workbook()).await;
        assert_eq!(text.headers()["content-type"], "text/csv; charset=utf-8");
        let notes = text.headers()["mcvn-notes"].to_str().unwrap().to_owned();
        assert!(notes.contains("is a title") && notes.contains("half of the limit was taken (1 cell)"), "{notes}");
        assert!(notes.is_ascii() && notes.contains("\\u00b0C"), "{notes}");
        assert_eq!(text.text().await.unwrap(), expected, "{kind}");
    }
    for (kind, accept, body) in [(XLSX, "*/*", workbook()), ("text/csv", XLSX, SAME.into())] {
        let answer = post(&server, kind, accept, body).await;
        assert_eq!(answer.headers()["content-type"], XLSX);
        let (text, _) = workbook_to_text(&answer.bytes().await.unwrap(), None, Limits::default()).unwrap();
        assert_eq!(String::from_utf8(text).unwrap().lines().next(), expected.lines().next());
    }
}

#[tokio::test]
async fn what_is_no_workbook_is_told() {
    let mut limited = config();
    limited.http.waiting_bytes = 2_100_000;
    let server = Server::start_with(limited).await;
    let mut cut = workbook();
    cut.truncate(cut.len() / 2);
    let problem = Server::problem(post(&server, XLSX, "*/*", cut).await).await;
    assert!(problem["detail"].as_str().unwrap().contains("was it cut off"), "{problem}");
    let problem = Server::problem(post(&server, XLSX, "*/*", vec![b'x'; 3_000_000]).await).await;
    assert_eq!(problem["code"], "body_too_large");
    let problem = Server::problem(server.post_raw(&format!("{PATH}&sheet=9"), XLSX, workbook()).await).await;
    assert!(problem["detail"].as_str().unwrap().contains("has no sheet \"9\""), "{problem}");
    let problem = Server::problem(post(&server, "text/csv", "*/*", b"%PDF-1.7\n1\n".to_vec()).await).await;
    assert_eq!(problem["status"], 422);
}

#[tokio::test]
async fn what_a_stream_is_read_as_follows_it() {
    let server = Server::start().await;
    let mut socket = TcpStream::connect(server.url.strip_prefix("http://").unwrap()).await.unwrap();
    let head = format!("POST {PATH} HTTP/1.1\r\nhost: x\r\nte: trailers\r\ncontent-type: text/csv\r\n");
    let chunks = format!("transfer-encoding: chunked\r\n\r\n{:x}\r\n{SAME}\r\n0\r\n\r\n", SAME.len());
    socket.write_all((head + &chunks).as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    while !String::from_utf8_lossy(&answer).contains("\r\n0\r\n") || !answer.ends_with(b"\r\n\r\n") {
        assert!(socket.read_buf(&mut answer).await.unwrap() > 0);
    }
    let answer = String::from_utf8(answer).unwrap();
    let (_, trailers) = answer.split_once("\r\n0\r\n").unwrap();
    assert!(answer.contains("columns that are no input were carried along: heat"), "{answer}");
    assert!(trailers.starts_with("mcvn-notes: [") && trailers.contains("\"Mn: below a limit"), "{trailers}");
}

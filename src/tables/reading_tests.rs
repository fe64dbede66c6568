//! Tests of reading tables in the forms that labs use: one line per case, and properties of any table.

use proptest::prelude::*;

use super::*;

fn read(bytes: &[u8]) -> (Head, Vec<Vec<String>>, Vec<u64>) {
    let (head, chunk) = read_table(bytes, &ReadOptions::default(), Limits::default()).unwrap();
    let rows: Vec<Row> = head.rows(&chunk).filter(|row| !row.is_blank()).collect();
    let lines = rows.iter().map(|row| chunk.line_of(row)).collect();
    let texts = rows.iter().map(|row| row.cells.iter().map(str::to_owned).collect()).collect();
    ((*head).clone(), texts, lines)
}

fn refused(bytes: &[u8]) -> String {
    read_table(bytes, &ReadOptions::default(), Limits::default()).unwrap_err().to_string()
}

/// A text, its column names, its first row, the line numbers of its rows, and its notes.
type Case<'a> = (&'a str, &'a str, &'a str, &'a [u64], &'a [&'a str]);

#[test]
fn tables_are_read_as_they_are_meant() {
    let cases: [Case; 36] = [
        ("C,Si,test_temperature\n0.2,0.3,27\n", "C|Si|test_temperature", "0.2|0.3|27", &[2], &[]),
        ("\"C (wt.%)\",\"Si (wt.%)\",T\n0.2,0.3,27\n", "C (wt.%)|Si (wt.%)|T", "0.2|0.3|27", &[2], &[]),
        ("c,si,mn\n0.2,0.3,0.8", "c|si|mn", "0.2|0.3|0.8", &[2], &[]),
        (",formula,gfa\n0,Cu60Zr40,1\n1,Al90Ni10,0\n", "|formula|gfa", "0|Cu60Zr40|1", &[2, 3], &[]),
        (",formula\na,Cu60Zr40\n", "|formula", "a|Cu60Zr40", &[2], &[]),
        (",0\n0,Cu60Zr40\n1,Al90Ni10\n", "|0", "0|Cu60Zr40", &[2, 3], &[]),
        ("Alloy,formula\nA-1,Cu60Zr40\n", "Alloy|formula", "A-1|Cu60Zr40", &[2], &[]),
        ("host,dopant\nFe,Ni\nCu,Zr\n", "host|dopant", "Fe|Ni", &[2, 3], &[]),
        ("formula\nZr55 Al10 Ni5 Cu30\nFe40Ni40 B20\n", "formula", "Zr55 Al10 Ni5 Cu30", &[2, 3], &[]),
        ("alloy\nCu60Zr40\n", "alloy", "Cu60Zr40", &[2], &[]),
        ("formula\nTi6Al4V\nCr12MoV\n", "formula", "Ti6Al4V", &[2, 3], &[]),
        ("wave,400,500,600\na,1,2,3\n", "wave|400|500|600", "a|1|2|3", &[2], &[]),
        (
            "Charge;C;Si;T\nA1;0.12;0.30;27\n",
            "Charge|C|Si|T",
            "A1|0.12|0.30|27",
            &[2],
            &["cells are separated by \";\""],
        ),
        (
            "C;Si;T\n0,12;0,30;27\n",
            "C|Si|T",
            "0,12|0,30|27",
            &[2],
            &["cells are separated by \";\", and numbers have a decimal comma"],
        ),
        (
            "YS, MPa;C, wt%;T, °C\nA;355,2;27,5\nB;360,1;27,5\n",
            "YS, MPa|C, wt%|T, °C",
            "A|355,2|27,5",
            &[2, 3],
            &["cells are separated by \";\", and numbers have a decimal comma"],
        ),
        (
            "heat;C;YS\nA1;0,12;1.234,5\n",
            "heat|C|YS",
            "A1|0,12|1.234,5",
            &[2],
            &["cells are separated by \";\", and numbers have a decimal comma"],
        ),
        ("C\tSi\tT\n0.12\t0.3\t27\n", "C|Si|T", "0.12|0.3|27", &[2], &["cells are separated by tabs"]),
        ("C|Si|T\n0.12|0.3|27\n", "C|Si|T", "0.12|0.3|27", &[2], &["cells are separated by \"|\""]),
        ("id,note,C\n1,a; b,0.1\n2,c; d; e,0.2\n", "id|note|C", "1|a; b|0.1", &[2, 3], &[]),
        ("id,note\n1,a; b\n2,c; d\n", "id|note", "1|a; b", &[2, 3], &[]),
        ("C,Si,T\r0.12,0.3,27\r0.13,0.3,27\r", "C|Si|T", "0.12|0.3|27", &[2, 3], &[]),
        ("C,Si,T\r\n0.12,0.3,27\r\n\r\n0.13,0.3,27\r\n", "C|Si|T", "0.12|0.3|27", &[2, 4], &[]),
        ("\n\nC,\"a\nb\"\n\n1,\"x\r\ny\"\n2,z\n", "C|a b", "1|x\r\ny", &[6, 8], &[]),
        ("C,note\r1,\"x\ny\"\r2,z\r", "C|note", "1|x\ny", &[2, 4], &[]),
        (
            "Tensile tests 2024,,,,\nC,Si,Mn,Cr,T\n0.12,0.3,0.5,1,27\n",
            "C|Si|Mn|Cr|T",
            "0.12|0.3|0.5|1|27",
            &[3],
            &["line 1 (\"Tensile tests 2024\") is a title and was skipped"],
        ),
        (
            "Tensile tests 2024\nby Dr. X\n\nC,Si,Mn\n0.12,0.3,0.5\n0.12,0.3,0.5\n",
            "C|Si|Mn",
            "0.12|0.3|0.5",
            &[5, 6],
            &[
                "line 1 (\"Tensile tests 2024\") is a title and was skipped",
                "line 2 (\"by Dr. X\") is a title and was skipped",
            ],
        ),
        (
            "Zugversuche 2024\nCharge;C;Si\nA1;0,12;0,3\nA2;0,12;0,3\n",
            "Charge|C|Si",
            "A1|0,12|0,3",
            &[3, 4],
            &[
                "line 1 (\"Zugversuche 2024\") is a title and was skipped",
                "cells are separated by \";\", and numbers have a decimal comma",
            ],
        ),
        (
            "# exported 2024-05-01\nC,Si,T\n0.12,0.3,27\n",
            "C|Si|T",
            "0.12|0.3|27",
            &[3],
            &["line 1 (\"# exported 2024-05-01\") is a comment and was skipped"],
        ),
        (
            "# C,Si,T\n0.12,0.3,27\n",
            "C|Si|T",
            "0.12|0.3|27",
            &[2],
            &["line 1 begins with \"#\" and was read as the header"],
        ),
        (
            "Composition,,,Properties,,\nC,Mn,Si,YS,UTS,EL\n0.1,1,0.2,355,500,22\n",
            "C|Mn|Si|YS|UTS|EL",
            "0.1|1|0.2|355|500|22",
            &[3],
            &["line 1 (\"Composition, Properties\") names groups of columns and was skipped"],
        ),
        ("C,Si,T\nwt%,wt%,°C\n0.15,0.3,27\n", "C|Si|T", "0.15|0.3|27", &[3], &["line 2 is a row of units (wt%, °C)"]),
        (
            "heat,C,YS\n-,[mass%],(MPa)\nA,0.15,355\n",
            "heat|C|YS",
            "A|0.15|355",
            &[3],
            &["line 2 is a row of units (mass%, MPa)"],
        ),
        ("wt.%,wt.%,K\nC,Mn,T\n0.1,1,300\n", "C|Mn|T", "0.1|1|300", &[3], &["line 1 is a row of units (wt.%, K)"]),
        ("K,N,HV\n0.1,0.2,300\n", "K|N|HV", "0.1|0.2|300", &[2], &[]),
        ("C,Si\n0.1,0.2\n,\n,\n", "C|Si", "0.1|0.2", &[2], &[]),
        ("heat,C,YS\nH0,0.1,300\nH9,0.3\nH1,0.2,350\n", "heat|C|YS", "H0|0.1|300", &[2, 3, 4], &[]),
    ];
    for (text, names, row, lines, notes) in cases {
        let (head, rows, found) = read(text.as_bytes());
        assert_eq!(head.names.join("|"), names, "{text:?}");
        assert_eq!(rows.first().map(|row| row.join("|")).as_deref(), Some(row), "{text:?}");
        assert_eq!(found, lines, "{text:?}");
        assert_eq!(head.notes, notes, "{text:?}");
    }
}

#[test]
fn units_stand_beside_their_columns() {
    let (head, ..) = read("heat,C,YS\nunit,[wt%],MPa\nA,0.15,355\n".as_bytes());
    assert_eq!(head.units.unwrap(), ["", "wt%", "MPa"]);
    assert_eq!(read(b"C,Si\n0.1,-\n").0.units, None);
}

#[test]
fn texts_of_any_encoding_are_read() {
    let text = "炉号,C,Si\nA1,0.12,0.3\n";
    let utf_16 = |swap: bool, mark: bool| {
        let words = mark.then_some(0xfeff).into_iter().chain("C,Si\r\n0.12,0.3\r\n".encode_utf16());
        words.flat_map(|word| if swap { word.to_be_bytes() } else { word.to_le_bytes() }).collect::<Vec<u8>>()
    };
    let note = |name: &str| {
        format!("the text is not UTF-8; it was read as {name} (name another with --encoding or ?encoding=)")
    };
    let (head, rows, _) = read(&encoding_rs::GBK.encode(text).0);
    assert_eq!((head.names[0].as_str(), rows[0][0].as_str()), ("炉号", "A1"));
    assert_eq!(head.notes, [note("GBK")]);
    let (head, ..) = read(format!("\u{feff}{text}").as_bytes());
    assert_eq!((head.names[0].as_str(), head.notes.len()), ("炉号", 0));
    for (swap, mark, notes) in [
        (false, true, vec![]),
        (true, true, vec![]),
        (false, false, vec![note("UTF-16LE")]),
        (true, false, vec![note("UTF-16BE")]),
    ] {
        let (head, rows, lines) = read(&utf_16(swap, mark));
        assert_eq!((head.names, head.notes), (vec!["C".to_owned(), "Si".to_owned()], notes));
        assert_eq!((rows, lines), (vec![vec!["0.12".to_owned(), "0.3".to_owned()]], vec![2]));
    }
    let western = b"treatment,C\nas rolled,0.12\nnormalized 870 \xb0C,0.12\n";
    let (head, rows, _) = read(western);
    assert_eq!((rows[1][0].as_str(), head.notes), ("normalized 870 °C", vec![note("windows-1252")]));
    let options = ReadOptions { encoding: Some("windows-1251".parse().unwrap()), sheet: None };
    let (head, chunk) = read_table(western, &options, Limits::default()).unwrap();
    assert_eq!(head.rows(&chunk).nth(1).unwrap().cells.get(0), Some("normalized 870 °C"));
    assert!(head.notes.is_empty());
    assert!("latin-9000".parse::<Charset>().is_err());
}

#[test]
fn a_cell_that_cannot_be_decoded_costs_that_cell() {
    let mut reader = TableReader::new(&ReadOptions::default(), Decide::AtFirstRow);
    reader.push(b"id,note,C\n1,ok,0.12\n").unwrap();
    let head = reader.head().unwrap().clone();
    reader.push(b"2,870 \xb0C,0.13\n3,\xc2").unwrap();
    reader.push(b"\xb5m,0.14\n").unwrap();
    reader.end().unwrap();
    let chunk = reader.chunk().unwrap();
    let rows: Vec<Row> = head.rows(&chunk).collect();
    assert_eq!(rows.iter().map(|row| row.undecodable.clone()).collect::<Vec<_>>(), [vec![], vec![1], vec![]]);
    assert_eq!(rows[1].cells, csv::StringRecord::from(vec!["2", "870 °C", "0.13"]));
    assert_eq!(rows[2].cells.get(1), Some("µm"));
    assert_eq!(chunk.line_of(&rows[1]), 3);
    assert_eq!(reader.chunk(), None);
}

#[test]
fn what_is_no_table_is_said() {
    for (bytes, says) in [
        (&b""[..], "empty"),
        (b"\n\n,,\n", "empty"),
        (b"%PDF-1.7\n", "PDF"),
        (b"<!DOCTYPE html><html>\n", "web page"),
        (b"{\"formula\": \"Fe\"}\n", "JSON"),
        (b"[{\"formula\": \"Fe\"}]\n", "JSON"),
        (b"C,Si\n\0\0,1\n", "no text has"),
        (b"Tensile tests 2024\n0.12,0.3,0.5\n0.13,0.3,0.5\n", "line 1 (\"Tensile tests 2024\") names no columns"),
    ] {
        assert!(refused(bytes).contains(says), "{}", refused(bytes));
    }
    let mut reader = TableReader::new(&ReadOptions::default(), Decide::AtBytes(1 << 16));
    assert!(reader.push(b"PK\x03\x04").unwrap_err().to_string().contains("workbook"));
    let mut reader = TableReader::new(&ReadOptions::default(), Decide::AtFirstRow);
    reader.push(b"C,Si\n0.1,\"").unwrap();
    assert!((0..40).any(|_| matches!(reader.push(&[b'x'; 1 << 15]), Err(TableError::TooLarge(_)))));
    let mut reader = TableReader::new(&ReadOptions::default(), Decide::AtFirstRow);
    assert!((0..40).any(|_| matches!(reader.push(&[b'x'; 1 << 15]), Err(TableError::TooLarge(_)))));
}

#[test]
fn the_first_row_is_answered_at_once() {
    for text in [
        "C,Si\n0.1,0.2\n",
        "formula\nCu60Zr40\n",
        "alloy\nCu60Zr40\n",
        "C,Si\r\n0.1,0.2\r\n",
        "C;Si\n0,1;0,2\n",
        "C,Si\r0.1,0.2\r",
    ] {
        let mut reader = TableReader::new(&ReadOptions::default(), Decide::AtFirstRow);
        reader.push(text.as_bytes()).unwrap();
        assert!(reader.head().is_some(), "{text:?}");
        assert_eq!(reader.chunk(), None);
        let chunk = reader.take_whole().unwrap();
        assert_eq!((chunk.line, reader.head().unwrap().rows(&chunk).count()), (2, 1));
    }
    let mut reader = TableReader::new(&ReadOptions::default(), Decide::AtFirstRow);
    for line in ["Tests, all of them\n", "by Dr. X\n", "C;Si;Mn\n", "wt%;wt%;wt%\n"] {
        reader.push(line.as_bytes()).unwrap();
        assert!(reader.head().is_none(), "{line:?}");
    }
    reader.push(b"0,1;0,2;0,3\n").unwrap();
    assert_eq!(reader.head().unwrap().names, ["C", "Si", "Mn"]);
}

#[test]
fn a_table_read_at_once_has_all_its_rows() {
    for (count, break_) in
        [(0, "\n"), (1, "\n"), (511, "\r\n"), (512, "\n"), (1_500, "\n"), (40_000, "\r\n"), (300_000, "\n")]
    {
        let mut text = format!("C,Si{break_}");
        (0..count).for_each(|row| text.push_str(&format!("0.1,{row}{break_}")));
        text.push_str("0.2,\"last\"");
        let (head, chunk) = read_table(text.as_bytes(), &ReadOptions::default(), Limits::default()).unwrap();
        let rows: Vec<Row> = head.rows(&chunk).collect();
        assert_eq!(rows.len(), count + 1);
        assert!(rows.iter().enumerate().all(|(at, row)| chunk.line_of(row) == at as u64 + 2), "{count} rows");
    }
}

/// The line number of a row, its cells, and the indices of cells that cannot be decoded.
type Numbered = (u64, Vec<String>, Vec<usize>);

/// The header, if any, and all rows with line numbers, of bytes that arrive in pieces.
fn piece_by_piece(bytes: &[u8], cuts: &[usize], decide: Decide) -> Option<(Head, Vec<Numbered>)> {
    let mut reader = TableReader::new(&ReadOptions::default(), decide);
    let (mut chunks, mut left, mut cuts) = (Vec::new(), bytes, cuts.iter().cycle());
    while !left.is_empty() {
        let (now, later) = left.split_at((*cuts.next().unwrap()).min(left.len()));
        reader.push(now).ok()?;
        chunks.extend(reader.take_whole());
        left = later;
    }
    reader.end().ok()?;
    chunks.extend(std::iter::from_fn(|| reader.chunk()));
    let head = (**reader.head()?).clone();
    let mut rows = Vec::new();
    for chunk in &chunks {
        for row in head.rows(chunk) {
            rows.push((chunk.line_of(&row), row.cells.iter().map(str::to_owned).collect(), row.undecodable));
        }
    }
    Some((head, rows))
}

proptest! {
    #[test]
    fn how_bytes_come_makes_no_difference(
        lines in prop::collection::vec(prop::sample::select(vec![
            "C,Si,T", "0.1,0.2,27", "Title", "# note", "", ",,", "C;Si;T", "0,1;0,2;27", "wt%,wt%,°C", "a,\"b\nc\",d",
            "\"open", "870 °C,1,2", "formula", "Cu60Zr40", "Ø 5\" bar,1", "炉号,C,Si", "\"a\"\"b\",1,2",
        ]), 0..9),
        end in prop::sample::select(vec!["\n", "\r\n", "\r"]),
        encoding in prop::sample::select(vec!["utf-8", "windows-1252", "gbk", "utf-16le", "utf-16be", "mark"]),
        cuts in prop::collection::vec(1usize..30, 1..20),
        at in prop::sample::select(vec![1usize, 7, 40, 4096]),
    ) {
        let text = lines.iter().flat_map(|line| [*line, end]).collect::<String>();
        let bytes: Vec<u8> = match encoding {
            "utf-8" => text.into_bytes(),
            "mark" => format!("\u{feff}{text}").into_bytes(),
            "utf-16le" => text.encode_utf16().flat_map(u16::to_le_bytes).collect(),
            "utf-16be" => text.encode_utf16().flat_map(u16::to_be_bytes).collect(),
            label => encoding_rs::Encoding::for_label(label.as_bytes()).unwrap().encode(&text).0.into_owned(),
        };
        for decide in [Decide::AtFirstRow, Decide::AtBytes(at)] {
            let whole = piece_by_piece(&bytes, &[usize::MAX], decide);
            prop_assert_eq!(&piece_by_piece(&bytes, &[1], decide), &whole);
            prop_assert_eq!(&piece_by_piece(&bytes, &cuts, decide), &whole);
        }
    }

    #[test]
    fn any_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        let _ = read_table(&bytes, &ReadOptions::default(), Limits::default());
        let _ = piece_by_piece(&bytes, &[3], Decide::AtFirstRow);
    }

    #[test]
    fn a_plain_table_is_never_misread(
        names in prop::collection::vec("[A-Za-z_][A-Za-z0-9_ ]{0,8}", 2..7),
        rows in prop::collection::vec(prop::collection::vec("[0-9]{1,3}(\\.[0-9]{1,4})?", 7), 1..6),
    ) {
        let names: Vec<&str> = names.iter().map(|name| name.trim()).collect();
        let rows: Vec<Vec<&str>> = rows.iter().map(|row| row.iter().take(names.len()).map(String::as_str).collect()).collect();
        let lines = std::iter::once(names.join(",")).chain(rows.iter().map(|row| row.join(",")));
        let text = lines.map(|line| line + "\n").collect::<String>();
        let (head, read, _) = read(text.as_bytes());
        prop_assert_eq!((head.names, head.line, head.dialect.separator), (names.iter().map(|name| (*name).to_owned()).collect(), 1, b','));
        prop_assert_eq!(read, rows);
    }
}

/// Run with `cargo test --release --lib reads_as_fast -- --ignored --nocapture`.
#[test]
#[ignore = "a measurement"]
fn reads_as_fast_as_a_reader_of_csv() {
    let mut text = String::from("id,C,Si,Mn,P,S,Ni,Cr,Mo,Cu,V,Al,N,test_temperature\n");
    for row in 0..200_000 {
        text += &format!(
            "heat-{row},0.15,0.3,0.5,0.01,0.0{},0.1,1.0{row},0.5,0.1,0,0.01,0.008,{}\n",
            row % 7,
            20 + row % 500
        );
    }
    let (head, chunk) = read_table(text.as_bytes(), &ReadOptions::default(), Limits::default()).unwrap();
    let chunks: Vec<Chunk> = {
        let mut rows = Rows::cells(b',');
        let cut = chunk.bytes.chunks(1 << 16).flat_map(|piece| {
            rows.push(piece).unwrap();
            std::iter::from_fn(|| rows.take_whole()).collect::<Vec<_>>()
        });
        cut.map(|bytes| Chunk { bytes, line: 2 }).collect()
    };
    let mut best = [f64::MAX; 2];
    for _ in 0..15 {
        let start = std::time::Instant::now();
        let cells: usize = chunks.iter().flat_map(|chunk| head.rows(chunk)).map(|row| row.cells.len()).sum();
        best[0] = best[0].min(start.elapsed().as_secs_f64());
        let start = std::time::Instant::now();
        let read = |chunk: &Chunk| {
            let mut builder = csv::ReaderBuilder::new();
            let reader = builder.has_headers(false).flexible(true).from_reader(chunk.bytes.as_slice());
            reader.into_records().map(|record| record.unwrap().len()).sum::<usize>()
        };
        assert_eq!(chunks.iter().map(read).sum::<usize>(), cells);
        best[1] = best[1].min(start.elapsed().as_secs_f64());
    }
    println!("rows/s: {:.0} here, {:.0} by csv alone", 2e5 / best[0], 2e5 / best[1]);
}

#[test]
fn a_chinese_header_alone_is_not_japanese() {
    let (text, _, _) = encoding_rs::GBK.encode("炉号,C_wt,回火温度(℃)\n炉1,0.4,600\n");
    let (head, _) = read_table(&text, &ReadOptions::default(), Limits::default()).unwrap();
    assert_eq!(head.names[2], "回火温度(℃)");
}

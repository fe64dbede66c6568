//! Tables in, tables out.

use serde_json::json;

use crate::support::{Server, pointers, steel_4140};

const HEADER: &str = "id,C,Si,Mn,P,S,Ni,Cr,Cu,Mo,normalizing_temperature,quenching_temperature,tempering_temperature,\
reduction_ratio,inclusions_da,inclusions_db,inclusions_dc";
const STEEL: &str = "0.4,0.25,0.8,0.02,0.02,0.1,1.0,0.1,0.2,870,855,600,825,0.05,0,0";

async fn table(server: &Server, path: &str, text: String) -> Vec<csv::StringRecord> {
    let response = server.post_raw(path, "text/csv", text).await;
    assert_eq!(response.status(), 200);
    assert_eq!(response.headers()["content-type"], "text/csv; charset=utf-8");
    let text = response.text().await.unwrap();
    let reader = csv::ReaderBuilder::new().has_headers(false).from_reader(text.as_bytes());
    reader.into_records().collect::<Result<_, _>>().unwrap()
}

#[tokio::test]
async fn good_rows_are_answered_and_bad_rows_say_why() {
    let server = Server::start().await;
    let bad_number = STEEL.replacen("0.4", "x", 1);
    let no_temperature = STEEL.replacen("855", "", 1);
    let text = format!("{HEADER}\na,{STEEL}\nb,{bad_number}\nc,{no_temperature}\nd,1\ne,{STEEL}\n");
    let rows = table(&server, "/predict/steel", text).await;
    let column = |name: &str| rows[0].iter().position(|header| header == name).unwrap();
    assert_eq!(rows.len(), 6);
    let ids: Vec<&str> = rows[1..].iter().map(|row| &row[column("id")]).collect();
    assert_eq!(ids, ["a", "b", "c", "d", "e"]);
    let alone = server.answer("/predict/steel", &steel_4140()).await;
    for row in [&rows[1], &rows[5]] {
        let fatigue: f64 = row[column("fatigue_strength")].parse().unwrap();
        assert_eq!(json!(fatigue), alone["properties"]["fatigue_strength"]["value"]);
        assert_eq!((&row[column("error")], &row[column("in_domain")]), ("", "true"));
        assert_eq!(row[column("version")], *alone["model"]["version"].as_str().unwrap());
    }
    for (row, words) in [(2, "C: \"x\" is not a number"), (3, "quenching_temperature: required"), (4, "2 cells")] {
        assert!(rows[row][column("error")].contains(words), "{}", &rows[row][column("error")]);
        assert_eq!(&rows[row][column("fatigue_strength")], "");
    }
}

#[tokio::test]
async fn glasses_by_formula_and_the_model_in_the_query() {
    let server = Server::start().await;
    let text = "formula\nZr41.2Ti13.8Cu12.5Ni10Be22.5\nCu60Zr40\nQq\n".to_owned();
    let rows = table(&server, "/classify/glass", text).await;
    assert_eq!((&rows[1][0], &rows[2][0], &rows[3][0]), ("BMG", "RMG", ""));
    let text = "C,Cr,test_temperature\n0.1,1,300\n".to_owned();
    let rows = table(&server, "/predict/steel?model=steel-tensile", text).await;
    assert_eq!(&rows[0][0], "yield_strength");
    assert!(rows[1][0].parse::<f64>().unwrap() > 0.0);
}

#[tokio::test]
async fn tables_that_cannot_be_read() {
    let server = Server::start().await;
    for (text, pointer) in [
        ("C,C,test_temperature\n1,1,1\n", "/C"),
        ("test_temperature\n1\n", ""),
        ("C,Temperature (°C)\n1,1\n", "/test_temperature"),
        ("C,cr,test_temperature\n1,1,1\n", "/cr"),
        ("C,test_temperature\n", ""),
        ("", ""),
    ] {
        let response = server.post_raw("/predict/steel?model=steel-tensile", "text/csv", text).await;
        let problem = Server::problem(response).await;
        assert_eq!(problem["code"], "invalid_sample", "{text}");
        assert_eq!(pointers(&problem), [pointer], "{text}");
    }
}

#[tokio::test]
async fn ten_thousand_rows() {
    let server = Server::start().await;
    let mut text = "formula\n".to_owned();
    (0..10_000).for_each(|row| text += &format!("Fe{}B{}\n", 45 + row % 30, 10 + row % 17));
    let rows = table(&server, "/classify/glass", text).await;
    assert_eq!(rows.len(), 10_001);
    // Row 0 and row 510 are the same alloy (510 = 30 · 17), far apart in the table.
    assert_eq!(rows[1], rows[511]);
}

//! Alloys to ask for, as many as wanted and the same ones each time.
//!
//! Its own because a server that is always asked the same would show its caches at best. Rounded numbers of our own.

use serde_json::{Value, json};

/// A steel like AISI 4140, within the training ranges; different for each index up to a few thousand.
pub(crate) fn steel(index: usize) -> Value {
    let [carbon, manganese, chromium] = steel_amounts(index);
    json!({
        "composition": {"C": carbon, "Si": 0.25, "Mn": manganese, "P": 0.02, "S": 0.02, "Ni": 0.05, "Cr": chromium,
            "Cu": 0.1, "Mo": 0.2},
        "processing": {"normalizing_temperature": 870, "quenching_temperature": 855,
            "tempering_temperature": tempering(index), "reduction_ratio": 825, "inclusions_da": 0.05,
            "inclusions_db": 0, "inclusions_dc": 0},
    })
}

/// A list of steels in one body.
pub(crate) fn steels(first: usize, count: usize) -> Value {
    json!({"samples": (first..first + count).map(steel).collect::<Vec<_>>()})
}

/// The same steels as a table.
pub(crate) fn steel_table(first: usize, count: usize) -> String {
    let head = "id,C,Si,Mn,P,S,Ni,Cr,Cu,Mo,normalizing_temperature,quenching_temperature,tempering_temperature,\
        reduction_ratio,inclusions_da,inclusions_db,inclusions_dc\n";
    let row = |index: usize| {
        let [carbon, manganese, chromium] = steel_amounts(index);
        let tempering = tempering(index);
        format!(
            "{index},{carbon},0.25,{manganese},0.02,0.02,0.05,{chromium},0.1,0.2,870,855,{tempering},825,0.05,0,0\n"
        )
    };
    head.to_owned() + &(first..first + count).map(row).collect::<String>()
}

/// A metallic glass.
pub(crate) fn glass(index: usize) -> Value {
    let copper = 40 + index % 30;
    let aluminium = index / 30 % 8;
    json!({"composition": format!("Cu{copper}Zr{}Al{aluminium}", 100 - copper - aluminium)})
}

fn steel_amounts(index: usize) -> [f64; 3] {
    [29 + index % 28, 50 + index / 28 % 100, 10 + index % 100].map(|hundredths| hundredths as f64 / 100.0)
}

fn tempering(index: usize) -> usize {
    550 + index % 131
}

/// Low-alloy steels in tensile tests, as a table.
pub(crate) fn tensile_table(first: usize, count: usize) -> String {
    let head = "id,C,Si,Mn,P,S,Ni,Cr,Mo,Cu,V,Al,N,test_temperature\n";
    let row = |index: usize| {
        let [carbon, manganese, chromium] = steel_amounts(index).map(|amount| amount / 2.0);
        let temperature = 20 + index % 631;
        format!("{index},{carbon},0.3,{manganese},0.01,0.01,0.1,{chromium},0.5,0.1,0,0.01,0.008,{temperature}\n")
    };
    head.to_owned() + &(first..first + count).map(row).collect::<String>()
}

/// Metallic glasses, as a table.
pub(crate) fn glass_table(first: usize, count: usize) -> String {
    let row = |index: usize| format!("{index},{}\n", glass(index)["composition"].as_str().unwrap_or_default());
    "id,formula\n".to_owned() + &(first..first + count).map(row).collect::<String>()
}

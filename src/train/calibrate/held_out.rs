//! The predictions of an ensemble for rows that it was not trained on.

use std::collections::BTreeSet;

use candle_core::Device;

use crate::data::{Dataset, Split};
use crate::featurize::Features;
use crate::model::{Bundle, InputDistance, TrainingInputs};
use crate::train::error::FitError;
use crate::train::infer::ask;
use crate::train::trained::Trained;

/// Why rows were held out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::train) enum PartKind {
    /// As a fold: they are like the other rows.
    Fold,
    /// As a region: the ensemble has to extrapolate to them.
    Region,
}

/// The predictions for one part of the rows.
pub(in crate::train) struct HeldOut {
    pub(super) kind: PartKind,
    pub(super) rows: Vec<HeldOutRow>,
}

/// The prediction for one row.
pub(super) struct HeldOutRow {
    /// Its index in the data.
    pub(super) row: usize,
    /// Whether no row of its group was in training.
    pub(super) new_group: bool,
    /// By family, on the targets' scales.
    pub(super) families: Vec<Vec<f64>>,
    pub(super) novelty: Option<f64>,
    pub(super) disagreement: Option<f64>,
    /// From the rows that the ensemble was trained on.
    pub(super) distance: Option<InputDistance>,
    /// To the nearest kind of alloys; `None` without kinds.
    pub(super) kind_distance: Option<f64>,
}

impl HeldOut {
    /// Predicts the test rows of a fold or region. `inputs` are those of its training rows.
    pub(in crate::train) fn ask(
        trained: &Trained,
        inputs: Option<&TrainingInputs>,
        data: &Dataset,
        (kind, fold): (PartKind, &Split),
        device: &Device,
    ) -> Result<Self, FitError> {
        let bundle = trained.load(device)?;
        let question = |bundle: &Bundle, features: &[&Features]| {
            let distances = features.iter().map(|own| inputs.map(|inputs| inputs.distance(&own.row)));
            Ok(bundle.ensemble_outputs(features)?.into_iter().zip(distances).collect())
        };
        let given = ask(&bundle, fold.test.iter().map(|row| &data.samples[*row]), question)?;
        let known: BTreeSet<&str> = fold.train.iter().map(|row| data.groups[*row].as_str()).collect();
        let kinds = trained.manifest.kinds.as_ref();
        let kind_distance = |row: &usize| Some(kinds?.nearest(data.samples[*row].composition())?.distance);
        let rows = fold.test.iter().zip(given).map(|(row, (output, distance))| HeldOutRow {
            row: *row,
            new_group: !known.contains(data.groups[*row].as_str()),
            families: output.families.into_iter().map(|own| bundle.on_scale(own)).collect(),
            novelty: output.novelty,
            disagreement: output.disagreement,
            distance,
            kind_distance: kind_distance(row),
        });
        Ok(Self { kind, rows: rows.collect() })
    }
}

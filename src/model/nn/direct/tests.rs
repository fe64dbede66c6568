//! Compares the pass over plain arrays with tensors, and rows alone with rows in a batch.

use candle_core::{DType, Device, Tensor};
use candle_nn::VarBuilder;

use super::*;
use crate::featurize::PIXELS;
use crate::model::nn::attention::Attend;
use crate::model::nn::init::SeededParameters;
use crate::model::nn::mcvn::Pass;
use crate::model::spec::network::{Architecture, AttentionMode, ImageChannel, McvnConfig, Norm};

/// Numbers between −1.8 and 1.9 with a long period.
fn numbers(count: usize) -> Vec<f32> {
    (0..count).map(|i| (i * 37 % 1009) as f32 / 270.0 - 1.8).collect()
}

fn architecture(attention: AttentionMode) -> Architecture {
    let image = ImageChannel { channels: vec![4], activation: Activation::Silu, width: 10, components: None };
    Architecture {
        attention,
        heads: 2,
        norm: Norm::Pre,
        activation: Activation::Silu,
        image: Some(image),
        image_only: false,
        bins: None,
        stem: Some(48),
        row: vec![32],
        batch_norm: false,
        head: vec![80],
        dropout: 0.0,
    }
}

/// The shipped shapes, and shapes in which single parts are missing.
fn shapes() -> Vec<Architecture> {
    let none = architecture(AttentionMode::None);
    let residual = architecture(AttentionMode::Residual);
    let image = residual.image.clone().unwrap();
    vec![
        // An image channel wider than all other layers, whose last block is not full.
        Architecture { image: Some(ImageChannel { width: 245, ..image }), row: vec![2], ..residual.clone() },
        Architecture { bins: Some(3), stem: None, row: vec![70, 20], heads: 1, ..residual.clone() },
        Architecture { image: None, activation: Activation::Relu, heads: 3, ..residual.clone() },
        Architecture { head: vec![], row: vec![], ..none.clone() },
        none,
        residual,
    ]
}

struct Case {
    network: Mcvn,
    references: Option<References>,
    places: Vec<u32>,
}

fn case(architecture: Architecture) -> Case {
    let config = McvnConfig { row_features: 7, outputs: 5, architecture };
    let vb = VarBuilder::from_backend(Box::new(SeededParameters::new(3)), DType::F32, Device::Cpu);
    let network = Mcvn::new(config, vb).unwrap();
    let count = 37;
    let tensor = |width| Tensor::from_vec(numbers(count * width), (count, width), &Device::Cpu).unwrap();
    let residual = network.config().architecture.attention == AttentionMode::Residual;
    let pixels = tensor(PIXELS);
    let references = residual.then(|| network.refer(&tensor(7), Some(&pixels), &tensor(5), None, false).unwrap());
    Case { network, references, places: (100..100 + count as u32).collect() }
}

#[test]
fn it_is_what_tensors_give() {
    for shape in shapes() {
        let Case { network, references, places } = case(shape);
        let direct = Direct::new(&network, references.as_ref().map(|own| (own, &places[..]))).unwrap().unwrap();
        let (rows, pixels) = (numbers(9 * 7), numbers(9 * PIXELS));
        let patches = in_patches(&pixels);
        let answers = direct.answer(&rows, || &patches);
        let row = Tensor::from_slice(&rows, (9, 7), &Device::Cpu).unwrap();
        let image = Tensor::from_slice(&pixels, (9, PIXELS), &Device::Cpu).unwrap();
        let attend = references.as_ref().map_or(Attend::Itself, Attend::References);
        let mut pass = Pass { attend, training: None };
        let (values, attention) = network.answer(&row, Some(&image), &mut pass).unwrap();
        let near = |a: &[f32], b: &[f32]| {
            assert_eq!(a.len(), b.len());
            a.iter().zip(b).for_each(|(a, b)| assert!((a - b).abs() < 2e-5 * (1.0 + b.abs()), "{a} {b}"));
        };
        near(&answers.values, &values.flatten_all().unwrap().to_vec1::<f32>().unwrap());
        let Some(attention) = attention else {
            assert!(answers.distances.is_empty() && answers.references.is_empty());
            continue;
        };
        near(&answers.distances, &attention.distance.to_vec1::<f32>().unwrap());
        let expected = attention.largest(&places).unwrap();
        let weights = |all: &[ReferenceAttention]| all.iter().map(|own| own.weight).collect::<Vec<_>>();
        near(&weights(&answers.references), &weights(&expected));
        let first_of = |all: &[ReferenceAttention]| all.chunks(4).map(|all| all[0].place).collect::<Vec<_>>();
        assert_eq!(first_of(&answers.references), first_of(&expected));
    }
}

#[test]
fn a_row_is_the_same_alone_and_among_others() {
    for shape in shapes() {
        let Case { network, references, places } = case(shape);
        let direct = Direct::new(&network, references.as_ref().map(|own| (own, &places[..]))).unwrap().unwrap();
        for count in 1..=9 {
            let (rows, pixels) = (numbers(count * 7), numbers(count * PIXELS));
            let patches = in_patches(&pixels);
            let together = direct.answer(&rows, || &patches);
            for row in 0..count {
                let own = in_patches(&pixels[row * PIXELS..][..PIXELS]);
                let alone = direct.answer(&rows[row * 7..][..7], || &own);
                assert_eq!(alone.values, together.values[row * 5..][..5]);
                if !alone.distances.is_empty() {
                    assert_eq!(alone.distances, together.distances[row..=row]);
                    assert_eq!(alone.references, together.references[row * 4..][..4]);
                }
            }
        }
    }
}

#[test]
fn other_shapes_are_left_to_tensors() {
    let shape = architecture(AttentionMode::None);
    let image = shape.image.clone().unwrap();
    for shape in [
        architecture(AttentionMode::Itself),
        Architecture { batch_norm: true, ..shape.clone() },
        Architecture { image_only: true, ..shape.clone() },
        Architecture { activation: Activation::Gelu, ..shape.clone() },
        Architecture { image: Some(ImageChannel { channels: vec![4, 4], ..image }), ..shape.clone() },
    ] {
        assert!(Direct::new(&case(shape).network, None).unwrap().is_none());
    }
}

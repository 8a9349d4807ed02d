//! Compares forward passes with the formulas in F64. The tests do not use the tested operations.

use super::{Tiny, bert, nomic, projection, qwen2};
use crate::contract::inference::{Batch, Head, Pooling};

type Rows = Vec<Vec<f64>>;

/// Tolerance for two layers of F32 sums. A wrong formula differs by 0.1 and more.
const TOLERANCE: f64 = 2e-5;

struct Wide<'m>(&'m Tiny);

impl Wide<'_> {
    fn vector(&self, name: &str) -> Option<Vec<f64>> {
        let found = self.0.tensors.iter().find(|(known, ..)| known == name);
        found.map(|(.., values)| values.iter().map(|value| f64::from(*value)).collect())
    }

    fn row(&self, table: &str, at: usize) -> Vec<f64> {
        self.vector(table).unwrap()[at * 8..][..8].to_vec()
    }

    fn linear(&self, x: &Rows, name: &str) -> Rows {
        let weight = self.vector(&format!("{name}.weight")).unwrap();
        let bias = self.vector(&format!("{name}.bias"));
        let one = |x: &Vec<f64>| {
            let products =
                weight.chunks(x.len()).map(|w| w.iter().zip(x).map(|(w, x)| w * x).sum());
            let sums = products.enumerate();
            sums.map(|(j, sum): (usize, f64)| sum + bias.as_ref().map_or(0.0, |b| b[j])).collect()
        };
        x.iter().map(one).collect()
    }

    fn layer_norm(&self, x: &Rows, name: &str) -> Rows {
        let weight = self.vector(&format!("{name}.weight")).unwrap();
        let bias = self.vector(&format!("{name}.bias")).unwrap();
        let one = |x: &Vec<f64>| {
            let mean = x.iter().sum::<f64>() / x.len() as f64;
            let variance = x.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / x.len() as f64;
            let at = |j: usize| (x[j] - mean) / (variance + 1e-5).sqrt() * weight[j] + bias[j];
            (0..x.len()).map(at).collect()
        };
        x.iter().map(one).collect()
    }

    fn rms_norm(&self, x: &Rows, name: &str) -> Rows {
        let weight = self.vector(&format!("{name}.weight")).unwrap();
        let one = |x: &Vec<f64>| {
            let square = x.iter().map(|x| x * x).sum::<f64>() / x.len() as f64;
            x.iter().zip(&weight).map(|(x, w)| x / (square + 1e-6).sqrt() * w).collect()
        };
        x.iter().map(one).collect()
    }
}

fn sum(x: &Rows, y: &Rows) -> Rows {
    x.iter().zip(y).map(|(x, y)| x.iter().zip(y).map(|(x, y)| x + y).collect()).collect()
}

/// `f` of each value of x, times y.
fn silu_times(x: &Rows, y: &Rows) -> Rows {
    let silu = |x: f64| x / (1.0 + (-x).exp());
    x.iter().zip(y).map(|(x, y)| x.iter().zip(y).map(|(x, y)| silu(*x) * y).collect()).collect()
}

/// GELU by the integral of the normal density (Simpson's rule), without the error function.
fn gelu(x: f64) -> f64 {
    let density = |t: f64| (-t * t / 2.0).exp() / (2.0 * std::f64::consts::PI).sqrt();
    let (steps, h) = (2000, x / 2000.0);
    let inner: f64 =
        (1..steps).map(|n| density(f64::from(n) * h) * if n % 2 == 1 { 4.0 } else { 2.0 }).sum();
    x * (0.5 + h / 3.0 * (density(0.0) + density(x) + inner))
}

/// Applies RoPE to every head of size four of one sentence, first half against second.
fn rotate(x: &Rows, base: f64) -> Rows {
    let one = |(position, x): (usize, &Vec<f64>)| {
        let mut turned = x.clone();
        for head in (0..x.len()).step_by(4) {
            for pair in 0..2 {
                let angle = position as f64 * base.powf(-(pair as f64) / 2.0);
                let (a, b) = (x[head + pair], x[head + pair + 2]);
                turned[head + pair] = a * angle.cos() - b * angle.sin();
                turned[head + pair + 2] = a * angle.sin() + b * angle.cos();
            }
        }
        turned
    };
    x.iter().enumerate().map(one).collect()
}

/// Attention of one sentence: heads of size four, several query heads for each key head.
fn attend(q: &Rows, k: &Rows, v: &Rows, mask: &[i64], causal: bool) -> Rows {
    let (heads, key_heads) = (q[0].len() / 4, k[0].len() / 4);
    let one = |at: usize| {
        let head = |h: usize| {
            let (mine, theirs) = (h * 4, h / (heads / key_heads) * 4);
            let seen = |key: &usize| mask[*key] == 1 && !(causal && *key > at);
            let score = |key: usize| {
                (0..4).map(|d| q[at][mine + d] * k[key][theirs + d]).sum::<f64>() / 2.0
            };
            let keys: Vec<usize> = (0..k.len()).filter(seen).collect();
            let total: f64 = keys.iter().map(|key| score(*key).exp()).sum();
            let value = |d: usize| {
                keys.iter().map(|key| score(*key).exp() / total * v[*key][theirs + d]).sum::<f64>()
            };
            (0..4).map(value).collect::<Vec<f64>>()
        };
        (0..heads).flat_map(head).collect()
    };
    (0..q.len()).map(one).collect()
}

fn bert_states(model: &Tiny, ids: &[i64], types: &[i64], mask: &[i64], first: usize) -> Rows {
    let wide = Wide(model);
    let embedded = |(at, (id, kind)): (usize, (&i64, &i64))| {
        let word = wide.row("embeddings.word_embeddings.weight", *id as usize);
        let place = wide.row("embeddings.position_embeddings.weight", at + first);
        let kind = wide.row("embeddings.token_type_embeddings.weight", *kind as usize);
        word.iter().zip(place).zip(kind).map(|((a, b), c)| a + b + c).collect()
    };
    let x: Rows = ids.iter().zip(types).enumerate().map(embedded).collect();
    let mut x = wide.layer_norm(&x, "embeddings.LayerNorm");
    for n in 0..2 {
        let at = |part: &str| format!("encoder.layer.{n}.{part}");
        let part = |name: &str| wide.linear(&x, &at(&format!("attention.self.{name}")));
        let mixed = attend(&part("query"), &part("key"), &part("value"), mask, false);
        let joined = wide.linear(&mixed, &at("attention.output.dense"));
        x = wide.layer_norm(&sum(&joined, &x), &at("attention.output.LayerNorm"));
        let inner = wide.linear(&x, &at("intermediate.dense"));
        let inner = inner.iter().map(|row| row.iter().map(|x| gelu(*x)).collect()).collect();
        let out = wide.linear(&inner, &at("output.dense"));
        x = wide.layer_norm(&sum(&out, &x), &at("output.LayerNorm"));
    }
    x
}

fn nomic_states(model: &Tiny, ids: &[i64], types: &[i64], mask: &[i64]) -> Rows {
    let wide = Wide(model);
    let embedded = |(id, kind): (&i64, &i64)| {
        let word = wide.row("embeddings.word_embeddings.weight", *id as usize);
        let kind = wide.row("embeddings.token_type_embeddings.weight", *kind as usize);
        word.iter().zip(kind).map(|(a, b)| a + b).collect()
    };
    let x: Rows = ids.iter().zip(types).map(embedded).collect();
    let mut x = wide.layer_norm(&x, "emb_ln");
    for n in 0..2 {
        let at = |part: &str| format!("encoder.layers.{n}.{part}");
        let three = wide.linear(&x, &at("attn.Wqkv"));
        let third = |n: usize| three.iter().map(|row| row[n * 8..][..8].to_vec()).collect::<Rows>();
        let (q, k) = (rotate(&third(0), 1000.0), rotate(&third(1), 1000.0));
        let joined = wide.linear(&attend(&q, &k, &third(2), mask, false), &at("attn.out_proj"));
        x = wide.layer_norm(&sum(&joined, &x), &at("norm1"));
        let (gate, up) = (wide.linear(&x, &at("mlp.fc12")), wide.linear(&x, &at("mlp.fc11")));
        let out = wide.linear(&silu_times(&gate, &up), &at("mlp.fc2"));
        x = wide.layer_norm(&sum(&out, &x), &at("norm2"));
    }
    x
}

fn qwen2_states(model: &Tiny, ids: &[i64], mask: &[i64]) -> Rows {
    let wide = Wide(model);
    let mut x: Rows = ids.iter().map(|id| wide.row("embed_tokens.weight", *id as usize)).collect();
    for n in 0..2 {
        let at = |part: &str| format!("layers.{n}.{part}");
        let normed = wide.rms_norm(&x, &at("input_layernorm"));
        let part = |name: &str| wide.linear(&normed, &at(&format!("self_attn.{name}_proj")));
        let (q, k) = (rotate(&part("q"), 100.0), rotate(&part("k"), 100.0));
        let mixed = attend(&q, &k, &part("v"), mask, true);
        x = sum(&x, &wide.linear(&mixed, &at("self_attn.o_proj")));
        let normed = wide.rms_norm(&x, &at("post_attention_layernorm"));
        let gate = wide.linear(&normed, &at("mlp.gate_proj"));
        let up = wide.linear(&normed, &at("mlp.up_proj"));
        x = sum(&x, &wide.linear(&silu_times(&gate, &up), &at("mlp.down_proj")));
    }
    wide.rms_norm(&x, "norm")
}

fn near(given: &[f32], expected: &[f64], what: &str) {
    assert_eq!(given.len(), expected.len(), "{what}");
    for (at, (given, expected)) in given.iter().zip(expected).enumerate() {
        let off = (f64::from(*given) - expected).abs();
        assert!(off < TOLERANCE, "{what}, value {at}: {given}, not {expected}");
    }
}

/// Returns ids, types and mask of each sentence of the batch.
fn sentences() -> Vec<(Vec<i64>, Vec<i64>, Vec<i64>)> {
    let Batch::Tokens { columns, ids, mask, types, .. } = bert().batch() else { unreachable!() };
    let parts = ids.chunks(columns).zip(types.chunks(columns)).zip(mask.chunks(columns));
    parts.map(|((ids, types), mask)| (ids.into(), types.into(), mask.into())).collect()
}

#[test]
fn each_family_is_its_formula() {
    type States = fn(&Tiny, &(Vec<i64>, Vec<i64>, Vec<i64>)) -> Rows;
    let families: [(&str, Tiny, States); 3] = [
        ("bert", bert(), |model, (ids, types, mask)| bert_states(model, ids, types, mask, 0)),
        ("nomic", nomic(), |model, (ids, types, mask)| nomic_states(model, ids, types, mask)),
        ("qwen2", qwen2(), |model, (ids, _, mask)| qwen2_states(model, ids, mask)),
    ];
    for (name, model, states) in families {
        let pooled = [Pooling::Mean, Pooling::Cls, Pooling::LastToken].map(Head::pooled);
        let states_alone = Head::TokenStates { projection: None, normalize: true };
        for head in pooled.into_iter().chain([states_alone]) {
            let mut model = model.clone();
            model.head = head;
            let mut expected = Vec::new();
            for sentence in sentences() {
                let tokens = sentence.2.iter().filter(|seen| **seen == 1).count();
                let states = states(&model, &sentence);
                let mean = |j: usize| states[..tokens].iter().map(|x| x[j]).sum::<f64>();
                match model.head.pooling() {
                    Some(Pooling::Mean) => expected.extend((0..8).map(|j| mean(j) / tokens as f64)),
                    Some(Pooling::Cls) => expected.extend(&states[0]),
                    Some(Pooling::LastToken) => expected.extend(&states[tokens - 1]),
                    _ => {
                        for (at, state) in states.iter().enumerate() {
                            let norm = state.iter().map(|x| x * x).sum::<f64>().sqrt();
                            let kept = if at < tokens { 1.0 / norm } else { 0.0 };
                            expected.extend(state.iter().map(|x| x * kept));
                        }
                    }
                }
            }
            let given = model.run(&model.batch()).unwrap();
            near(&given.output.values, &expected, &format!("{name}, {:?}", model.head));
            // Without a trace, only the pooled token passes the last layer.
            let alone = model.forward(&model.batch(), false).unwrap();
            near(&alone.output.values, &expected, &format!("{name}, {:?}, no trace", model.head));
            assert!(alone.states.is_empty(), "{name}");
            let names = given.states.iter().map(|state| state.name.as_str());
            // Only decoders trace the states within a layer.
            let names: Vec<&str> = names.filter(|name| name.matches('.').count() < 2).collect();
            let last = if name == "qwen2" { vec!["norm"] } else { vec![] };
            let all = [&["embeddings", "layer.0", "layer.1"][..], &last, &["pooled"]].concat();
            assert_eq!(names, all, "{name}");
        }
    }
}

#[test]
fn roberta_counts_positions_from_behind_the_padding() {
    let mut model = bert();
    model.config["model_type"] = "roberta".into();
    let ids = [3, 7, 2, 9];
    let (types, mask) = ([0; 4], [1; 4]);
    let alone = Batch::Tokens {
        rows: 1,
        columns: 4,
        ids: ids.into(),
        mask: mask.into(),
        types: Vec::new(),
    };
    model.head = Head::TokenStates { projection: None, normalize: false };
    let expected = bert_states(&model, &ids, &types, &mask, 2).concat();
    near(&model.run(&alone).unwrap().output.values, &expected, "roberta");
}

#[test]
fn splade_is_its_formula() {
    let mut model = bert();
    model.head = Head::pooled(Pooling::Splade);
    model.pair("cls.predictions.transform.dense", 8, 8);
    model.norm("cls.predictions.transform.LayerNorm", 8);
    model.add("cls.predictions.bias", &[11]);
    let words = model.values("embeddings.word_embeddings.weight").clone();
    let mut tied = model.clone();
    tied.tensors.push(("decoder.weight".into(), vec![11, 8], words));
    tied.tensors.push((
        "decoder.bias".into(),
        vec![11],
        tied.clone().values("cls.predictions.bias").clone(),
    ));
    let wide = Wide(&tied);
    let mut expected = Vec::new();
    for (ids, types, mask) in sentences() {
        let states = bert_states(&model, &ids, &types, &mask, 0);
        let inner = wide.linear(&states, "cls.predictions.transform.dense");
        let inner = inner.iter().map(|row| row.iter().map(|x| gelu(*x)).collect()).collect();
        let normed = wide.layer_norm(&inner, "cls.predictions.transform.LayerNorm");
        let logits = wide.linear(&normed, "decoder");
        let tokens = mask.iter().filter(|seen| **seen == 1).count();
        let most =
            |j: usize| logits[..tokens].iter().map(|row| row[j].max(0.0)).fold(0.0, f64::max);
        expected.extend((0..11).map(|j| most(j).ln_1p()));
    }
    assert!(expected.contains(&0.0) && expected.iter().any(|value| *value > 0.1));
    near(&model.run(&model.batch()).unwrap().output.values, &expected, "splade");
}

#[test]
fn a_projection_is_its_formula() {
    let model = projection();
    let values: Vec<f32> = (0u8..12).map(|n| f32::from(n) / 7.0 - 0.5).collect();
    let x: Rows = values.chunks(6).map(|row| row.iter().map(|v| f64::from(*v)).collect()).collect();
    let expected = Wide(&model).linear(&x, "linear").concat();
    let given = model.run(&Batch::Vectors { rows: 2, columns: 6, values }).unwrap().output;
    assert_eq!(given.shape, [2, 4]);
    near(&given.values, &expected, "projection");
}

#[test]
fn the_same_input_gives_the_same_bits() {
    for model in [bert(), nomic(), qwen2()] {
        let (once, again) =
            (model.run(&model.batch()).unwrap(), model.run(&model.batch()).unwrap());
        let bits = |state: &crate::contract::inference::State| -> Vec<u32> {
            state.values.iter().map(|value| value.to_bits()).collect()
        };
        assert_eq!(bits(&once.output), bits(&again.output));
        assert_eq!(once.states.len(), again.states.len());
        for (a, b) in once.states.iter().zip(&again.states) {
            assert_eq!(bits(a), bits(b), "{}", a.name);
        }
    }
}

//! Charts as SVG: small, accessible, without scripts or styles, readable on light and dark pages.
//!
//! Text and axes use `currentColor`; the data colours keep enough contrast on white and on black.

mod daily;

use core::fmt::Write;

use goldenpath_runtime::usage::Usd;

pub use daily::daily;

const BLUE: &str = "#3b82f6";
const ORANGE: &str = "#ea7a17";
const GREEN: &str = "#16a34a";
const WIDTH: f64 = 720.0;

/// One row of a bar chart or waterfall.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Bar {
    /// What the amount is of; cut at 26 letters beside the bar, whole in the description.
    pub label: String,
    /// US dollars, zero or more; the largest bar of a chart is as long as the room allows.
    pub amount: Usd,
}

/// Horizontal bars, one per group.
pub fn bars(title: &str, bars: &[Bar]) -> String {
    let height = 44.0 + 28.0 * bars.len() as f64;
    let described: Vec<String> =
        bars.iter().map(|bar| format!("{} {}", bar.label, bar.amount.display())).collect();
    let mut svg = Svg::new(title, &described.join("; "), height);
    let most =
        bars.iter().map(|bar| bar.amount.as_f64()).fold(0.0, f64::max).max(f64::MIN_POSITIVE);
    let (left, room) = (210.0, WIDTH - 210.0 - 110.0);
    for (at, bar) in bars.iter().enumerate() {
        let y = 36.0 + 28.0 * at as f64;
        let length = (bar.amount.as_f64() / most * room).max(1.0);
        svg.text(left - 8.0, y + 14.0, "end", &cut(&bar.label, 26));
        svg.rect(left, y, length, 18.0, BLUE);
        svg.text(left + length + 6.0, y + 14.0, "start", &bar.amount.display());
    }
    svg.finish()
}

/// A waterfall: what is spent, what each lever takes away, what remains.
pub fn waterfall(title: &str, spend: Usd, steps: &[Bar], remaining: Usd) -> String {
    let described: Vec<String> =
        steps.iter().map(|step| format!("{} −{}", step.label, step.amount.display())).collect();
    let description = format!(
        "Spend {}; {}; remaining {}",
        spend.display(),
        described.join("; "),
        remaining.display()
    );
    let mut svg = Svg::new(title, &description, 72.0 + 28.0 * (steps.len() + 2) as f64 - 28.0);
    let scale = (WIDTH - 210.0 - 110.0) / spend.as_f64().max(f64::MIN_POSITIVE);
    let left = 210.0;
    let mut row = 0.0;
    let mut draw = |label: &str, from: f64, amount: Usd, colour: &str, sign: &str| {
        let y = 36.0 + 28.0 * row;
        row += 1.0;
        let (x, length) = (left + from * scale, (amount.as_f64() * scale).max(1.0));
        svg.text(left - 8.0, y + 14.0, "end", &cut(label, 26));
        svg.rect(x, y, length, 18.0, colour);
        svg.text(x + length + 6.0, y + 14.0, "start", &format!("{sign}{}", amount.display()));
    };
    draw("Spend", 0.0, spend, BLUE, "");
    let mut left_over = spend;
    for step in steps {
        left_over = left_over - step.amount;
        draw(&step.label, left_over.as_f64(), step.amount, GREEN, "−");
    }
    draw("Remaining", 0.0, remaining, BLUE, "");
    svg.finish()
}

/// An SVG being written.
struct Svg {
    text: String,
}

impl Svg {
    fn new(title: &str, description: &str, height: f64) -> Self {
        let mut text = String::new();
        let _ = write!(
            text,
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" width=\"{WIDTH}\" \
             height=\"{height}\" role=\"img\" aria-label=\"{title}\" font-family=\"system-ui, sans-serif\" \
             font-size=\"13\" fill=\"currentColor\">\n<title>{title}</title>\n<desc>{}</desc>\n",
            escape(description),
            title = escape(title),
        );
        let mut svg = Self { text };
        let _ = writeln!(
            svg.text,
            "<text x=\"8\" y=\"18\" font-size=\"14\" font-weight=\"600\">{}</text>",
            escape(title)
        );
        svg
    }

    fn text(&mut self, x: f64, y: f64, anchor: &str, text: &str) {
        let _ = writeln!(
            self.text,
            "<text x=\"{x:.1}\" y=\"{y:.1}\" text-anchor=\"{anchor}\">{}</text>",
            escape(text)
        );
    }

    fn rect(&mut self, x: f64, y: f64, width: f64, height: f64, colour: &str) {
        let _ = writeln!(
            self.text,
            "<rect x=\"{x:.1}\" y=\"{y:.1}\" width=\"{width:.1}\" height=\"{height:.1}\" rx=\"2\" fill=\"{colour}\"/>"
        );
    }

    fn line(&mut self, (x1, y1): (f64, f64), (x2, y2): (f64, f64)) {
        let _ = writeln!(
            self.text,
            "<line x1=\"{x1:.1}\" y1=\"{y1:.1}\" x2=\"{x2:.1}\" y2=\"{y2:.1}\" stroke=\"currentColor\" \
             stroke-opacity=\"0.2\"/>"
        );
    }

    fn path(&mut self, points: &[(f64, f64)], colour: &str, dashed: bool) {
        let dash = if dashed { " stroke-dasharray=\"5 4\"" } else { "" };
        let _ = writeln!(
            self.text,
            "<polyline points=\"{}\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"2\"{dash}/>",
            joined(points)
        );
    }

    fn area(&mut self, points: &[(f64, f64)], colour: &str) {
        let _ = writeln!(
            self.text,
            "<polygon points=\"{}\" fill=\"{colour}\" fill-opacity=\"0.18\"/>",
            joined(points)
        );
    }

    fn dot(&mut self, (x, y): (f64, f64), colour: &str, title: &str) {
        let _ = writeln!(
            self.text,
            "<circle cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"5\" fill=\"{colour}\"><title>{}</title></circle>",
            escape(title)
        );
    }

    fn finish(mut self) -> String {
        self.text.push_str("</svg>\n");
        self.text
    }
}

fn joined(points: &[(f64, f64)]) -> String {
    points.iter().map(|(x, y)| format!("{x:.1},{y:.1}")).collect::<Vec<_>>().join(" ")
}

/// Text for XML: markup escaped, characters XML forbids dropped.
fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '"' => out.push_str("&quot;"),
            '&' => out.push_str("&amp;"),
            '\'' => out.push_str("&#39;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            letter if letter.is_control() || matches!(letter, '\u{fffe}' | '\u{ffff}') => {
                out.push(' ')
            }
            letter => out.push(letter),
        }
    }
    out
}

fn cut(text: &str, letters: usize) -> String {
    if text.chars().count() <= letters {
        return text.to_owned();
    }
    text.chars().take(letters - 1).chain(['…']).collect()
}

/// The steps of an axis from zero: at most six, at 1, 2, 2.5 or 5 times a power of ten.
fn ticks(most: f64) -> Vec<f64> {
    let most = if most.is_finite() && most > 0.0 { most } else { 1.0 };
    let rough = most / 5.0;
    let power = 10f64.powi(rough.log10().floor() as i32);
    let step = [1.0, 2.0, 2.5, 5.0, 10.0]
        .into_iter()
        .map(|factor| factor * power)
        .find(|step| *step >= rough);
    let step = step.unwrap_or(10.0 * power);
    (0..=(most / step).ceil() as usize).map(|at| at as f64 * step).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hostile_names_stay_text() {
        let bar = Bar {
            label: "</text><script>alert(1)</script>\u{0}".into(),
            amount: Usd::from_micros(5),
        };
        let svg = bars("A & B", &[bar]);
        assert!(!svg.contains("<script") && !svg.contains('\u{0}'), "{svg}");
        assert!(svg.contains("<title>A &amp; B</title>") && svg.contains("<desc>"));
    }

    #[test]
    fn axes_have_few_and_round_steps() {
        assert_eq!(ticks(10.0), [0.0, 2.0, 4.0, 6.0, 8.0, 10.0]);
        assert_eq!(ticks(0.0).len(), 6);
        for most in [0.003, 1.0, 7.3, 99.0, 12_345.0] {
            let ticks = ticks(most);
            assert!(
                (3..=7).contains(&ticks.len()) && ticks.last().unwrap() >= &most,
                "{most}: {ticks:?}"
            );
        }
    }

    #[test]
    fn a_waterfall_goes_from_spend_to_remaining() {
        let usd = |dollars: i64| Usd::from_micros(dollars * 1_000_000);
        let step = Bar { label: "R6".into(), amount: usd(20) };
        insta::assert_snapshot!(waterfall("Savings", usd(100), &[step], usd(80)));
    }
}

//! Pictures of a report, as SVG.

use std::path::Path;

use anyhow::{Result, anyhow};
use plotters::coord::Shift;
use plotters::prelude::*;

use crate::report::{Figures, Report};

type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;

const SIZE: (u32, u32) = (860, 480);

pub fn draw(report: &Report, out: &Path) -> Result<()> {
    on(&out.join("latency.svg"), |area| {
        latency(area, &report.subjects)
    })?;
    let per_second = |figures: &Figures| Some(figures.throughput.first()?.per_second);
    on(&out.join("throughput.svg"), |area| {
        let title = "events a second, until durable as promised (one producer)";
        bars(area, &report.subjects, title, per_second)
    })?;
    let bytes = |figures: &Figures| Some(figures.throughput.first()?.bytes_per_event);
    on(&out.join("bytes.svg"), |area| {
        bars(area, &report.subjects, "bytes on disk per event", bytes)
    })?;
    on(&out.join("growth.svg"), |area| {
        growth(area, &report.subjects)
    })
}

fn on(file: &Path, draw: impl FnOnce(&Area<'_>) -> Result<()>) -> Result<()> {
    let area = SVGBackend::new(file, SIZE).into_drawing_area();
    area.fill(&WHITE).map_err(failed)?;
    draw(&area)?;
    area.present().map_err(failed)
}

fn failed(error: impl std::fmt::Display) -> anyhow::Error {
    anyhow!("a plot cannot be drawn: {error}")
}

fn color(index: usize) -> RGBAColor {
    Palette99::pick(index).mix(1.0)
}

/// Which part of the calls took longer than so many nanoseconds; both axes by powers of ten.
fn latency(area: &Area<'_>, subjects: &[Figures]) -> Result<()> {
    let mut chart = ChartBuilder::on(area)
        .caption("calls that took longer, paced 20 µs", ("sans-serif", 20))
        .margin(10)
        .x_label_area_size(40)
        .y_label_area_size(60)
        .build_cartesian_2d(
            (10_f64..10_000_000_f64).log_scale(),
            (1e-5_f64..1_f64).log_scale(),
        )
        .map_err(failed)?;
    chart
        .configure_mesh()
        .x_desc("nanoseconds")
        .y_desc("part of the calls")
        .draw()
        .map_err(failed)?;
    for (index, figures) in subjects.iter().enumerate() {
        let Some(latency) = figures.latency.first() else {
            continue;
        };
        #[allow(clippy::cast_precision_loss, reason = "a plot")]
        let points = latency
            .distribution
            .iter()
            .map(|(nanos, part)| (*nanos as f64, (1.0 - part).max(1e-5)));
        chart
            .draw_series(LineSeries::new(points, color(index).stroke_width(2)))
            .map_err(failed)?
            .label(figures.name.as_str())
            .legend(move |(x, y)| PathElement::new([(x, y), (x + 16, y)], color(index)));
    }
    legend(&mut chart.configure_series_labels())
}

fn growth(area: &Area<'_>, subjects: &[Figures]) -> Result<()> {
    let points = || {
        subjects
            .iter()
            .filter_map(|figures| figures.growth.as_ref())
    };
    let all = || points().flat_map(|growth| &growth.points);
    let most = all().map(|point| point.0).max().unwrap_or(1);
    let slowest = all().map(|point| point.1).fold(1.0, f64::max);
    let mut chart = ChartBuilder::on(area)
        .caption(
            "one event recorded durably, as the journal grows",
            ("sans-serif", 20),
        )
        .margin(10)
        .x_label_area_size(40)
        .y_label_area_size(60)
        .build_cartesian_2d(0..most, 0.0..slowest * 1.1)
        .map_err(failed)?;
    chart
        .configure_mesh()
        .x_desc("events in it")
        .y_desc("microseconds")
        .draw()
        .map_err(failed)?;
    for (index, figures) in subjects.iter().enumerate() {
        let Some(growth) = &figures.growth else {
            continue;
        };
        let points = growth.points.iter().copied();
        chart
            .draw_series(LineSeries::new(points, color(index).stroke_width(2)))
            .map_err(failed)?
            .label(figures.name.as_str())
            .legend(move |(x, y)| PathElement::new([(x, y), (x + 16, y)], color(index)));
    }
    legend(&mut chart.configure_series_labels())
}

fn legend<'a, 'b, DB, CT>(
    labels: &mut plotters::chart::SeriesLabelStyle<'a, 'b, DB, CT>,
) -> Result<()>
where
    DB: DrawingBackend + 'a,
    CT: plotters::coord::CoordTranslate,
{
    labels
        .position(SeriesLabelPosition::UpperRight)
        .background_style(WHITE.mix(0.8))
        .border_style(BLACK)
        .draw()
        .map_err(failed)
}

/// One bar for each subject that has a figure, by powers of ten, with the figure beside it.
fn bars(
    area: &Area<'_>,
    subjects: &[Figures],
    title: &str,
    figure: impl Fn(&Figures) -> Option<f64>,
) -> Result<()> {
    let bars: Vec<_> = subjects
        .iter()
        .filter_map(|figures| Some((figures.name.as_str(), figure(figures)?)))
        .collect();
    let most = bars.iter().map(|bar| bar.1).fold(1.0, f64::max);
    area.draw(&Text::new(title, (20, 14), ("sans-serif", 20)))
        .map_err(failed)?;
    let height = 400 / i32::try_from(bars.len().max(1)).unwrap_or(1);
    let mut top = 56;
    for (index, (name, value)) in bars.iter().enumerate() {
        // Of powers of ten only the difference is seen: a bar begins at 1.
        let part = value.max(1.0).log10() / most.max(10.0).log10();
        #[allow(clippy::cast_possible_truncation, reason = "at most the width")]
        let end = 170 + (560.0 * part) as i32;
        let bar = Rectangle::new([(170, top), (end, top + height - 8)], color(index).filled());
        let middle = top + height / 2 - 12;
        area.draw(&bar).map_err(failed)?;
        area.draw(&Text::new(*name, (20, middle), ("sans-serif", 15)))
            .map_err(failed)?;
        let text = if *value < 1_000.0 {
            format!("{value:.1}")
        } else {
            format!("{:.0} k", value / 1e3)
        };
        area.draw(&Text::new(text, (end + 8, middle), ("sans-serif", 15)))
            .map_err(failed)?;
        top += height;
    }
    Ok(())
}

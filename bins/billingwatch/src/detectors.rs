//! `billingwatch detectors`: the list, or one detector with its settings, bounds and defaults.

use std::io::Write;

use billingwatch_core::detector::{DetectorSpec, Factory, SettingKind, SettingsError};
use comfy_table::{ContentArrangement, Table, presets};

use crate::cli::DetectorsArgs;
use crate::exit::Ended;
use crate::output::{Paint, Style};

/// Every detector of this binary.
pub(crate) fn all() -> Vec<Box<dyn Factory>> {
    billingwatch_core::detectors::all()
}

/// Their specs.
pub(crate) fn specs(factories: &[Box<dyn Factory>]) -> Vec<&DetectorSpec> {
    factories.iter().map(|factory| factory.spec()).collect()
}

/// Lists all, or describes one.
///
/// # Errors
/// When there is none of that name, or standard output is closed.
pub(crate) fn run(args: &DetectorsArgs) -> anyhow::Result<Ended> {
    let factories = all();
    let specs = specs(&factories);
    let mut out = std::io::stdout().lock();
    match &args.name {
        None => writeln!(out, "{}", list(&specs))?,
        Some(name) => {
            let spec = specs.iter().find(|spec| spec.name == name.as_str());
            let spec = spec.ok_or_else(|| SettingsError::UnknownDetector(name.clone()))?;
            write!(out, "{}", describe(spec, Paint::stdout()))?;
        }
    }
    Ok(Ended::Well)
}

fn list(specs: &[&DetectorSpec]) -> Table {
    let mut table = Table::new();
    table.load_style(presets::UTF8_HORIZONTAL_ONLY);
    table.set_content_arrangement(ContentArrangement::Dynamic);
    table.set_header(["detector", "watches for", "settings"]);
    for spec in specs {
        let settings = spec.settings.len().to_string();
        table.add_row([spec.name, spec.description, &settings]);
    }
    table
}

fn describe(spec: &DetectorSpec, paint: Paint) -> String {
    let name = paint.paint(Style::Bold, spec.name);
    let mut text = format!(
        "{name}\n{}\n\nSettings, in [detectors.{}]:\n",
        spec.description, spec.name
    );
    text.push_str("\n  enabled = true\n      Whether it runs at all. true or false.\n");
    for setting in spec.settings {
        let bounds = match setting.kind {
            SettingKind::Int { min, max, .. } => format!("From {min} to {max}."),
            SettingKind::Bool { .. } => "true or false.".to_owned(),
        };
        let name = paint.paint(Style::Cyan, setting.name);
        text.push_str(&format!("\n  {name} = {}\n", setting.default_value()));
        for line in setting.doc.lines() {
            text.push_str(&format!("      {}\n", line.trim()));
        }
        text.push_str(&format!("      {bounds}\n"));
    }
    text
}

//! Prints what one plugin call costs at 5 KB: `cargo run --release -p varco-plugin-host --example call_time`.
//!
//! `pass, nothing read` is the price of a fresh instance and of the body's copy into it; the others add what the
//! sample does with the body.

#![allow(clippy::print_stdout)]

use std::{error::Error, fs, hint::black_box, io, path::Path, thread, time::Duration, time::Instant};

use tokio::runtime::{Builder, Runtime};
use varco_plugin_host::{
    Context, EngineSettings, Hook, Manifest, Plugin, PluginEngine, PluginError, Verdict,
};

const CALLS: usize = 20_000;
const CONTEXT: Context<'static> = Context {
    interaction: "read",
    resource_type: Some("Observation"),
    route: "exchange",
    roles: &["AAS"],
    purposes: &["TREAT"],
    content_type: "application/fhir+json",
    traceparent: None,
};

fn main() -> Result<(), Box<dyn Error>> {
    let engine = PluginEngine::start(&EngineSettings::default())?;
    let components = Path::new(env!("CARGO_MANIFEST_DIR")).join("../samples/components");
    let load = |sample: &str, change: fn(String) -> String| -> Result<Plugin, Box<dyn Error>> {
        let text = change(fs::read_to_string(components.join(format!("{sample}.plugin.json")))?);
        let component = fs::read(components.join(format!("{sample}.wasm")))?;
        Ok(Plugin::load(&engine, Manifest::parse(&text)?, &component)?)
    };
    let stripper = load("narrative-stripper", |text| text)?;
    let idle = load("hostile", |text| text.replace("\"by-body\"\n  }", "\"pass\"\n  }"))?;

    let bare = observation(false);
    let noted = observation(true);
    println!("{CALLS} calls each, body of {} bytes ({} with free text)", bare.len(), noted.len());
    measure("pass, nothing read", &idle, Hook::Request, &bare)?;
    measure("request, searched for scripts", &stripper, Hook::Request, &bare)?;
    measure("response, nothing to cut", &stripper, Hook::Response, &bare)?;
    measure("response, free text cut", &stripper, Hook::Response, &noted)?;
    for threads in [1, 2, 4] {
        measure_together("pass, nothing read", threads, &idle, Hook::Request, &bare)?;
        measure_together("response, free text cut", threads, &stripper, Hook::Response, &noted)?;
    }
    Ok(())
}

/// What drives the calls of a thread.
fn worker() -> io::Result<Runtime> {
    Builder::new_current_thread().enable_time().build()
}

/// CPU time of the process for each call, while this many threads call: what one call costs the others shows here.
fn measure_together(
    name: &str,
    threads: usize,
    plugin: &Plugin,
    hook: Hook,
    body: &[u8],
) -> Result<(), Box<dyn Error>> {
    let before = cpu()?;
    let failures: usize = thread::scope(|scope| {
        let calls = |_| {
            scope.spawn(|| {
                let failed = async {
                    let mut failed = 0_usize;
                    for _ in 0..CALLS {
                        let judged = plugin.judge(hook, &CONTEXT, body, &|| Duration::ZERO).await;
                        failed += usize::from(black_box(judged).is_err());
                    }
                    failed
                };
                worker().map_or(CALLS, |worker| worker.block_on(failed))
            })
        };
        let running: Vec<_> = (0..threads).map(calls).collect();
        running.into_iter().map(|own| own.join().unwrap_or(CALLS)).sum()
    });
    let each = (cpu()? - before) / u32::try_from(CALLS * threads)?;
    println!("{name:32} {threads} threads  CPU {each:?}  failures {failures}");
    Ok(())
}

/// CPU time of this process: user and system, in clock ticks of 10 ms (proc(5), `/proc/PID/stat`).
fn cpu() -> Result<Duration, Box<dyn Error>> {
    let stat = fs::read_to_string("/proc/self/stat")?;
    let after = stat.rsplit(')').next().ok_or("no stat")?;
    let ticks = after.split_whitespace().skip(11).take(2).map(str::parse::<u64>).sum::<Result<u64, _>>()?;
    Ok(Duration::from_millis(ticks * 10))
}

fn measure(name: &str, plugin: &Plugin, hook: Hook, body: &[u8]) -> Result<(), Box<dyn Error>> {
    let mut times = Vec::with_capacity(CALLS);
    let mut replaced = 0_usize;
    worker()?.block_on(async {
        for number in 0..CALLS + CALLS / 10 {
            let start = Instant::now();
            let verdict = black_box(plugin.judge(hook, &CONTEXT, body, &|| Duration::ZERO).await?);
            if number >= CALLS / 10 {
                times.push(start.elapsed());
                replaced += usize::from(matches!(verdict, Verdict::Replace(_)));
            }
        }
        Ok::<_, PluginError>(())
    })?;
    times.sort_unstable();
    let at = |share: usize| times.get(CALLS * share / 1000).copied().unwrap_or_default();
    println!("{name:32} p50 {:?}  p99 {:?}  replaced {replaced}", at(500), at(990));
    Ok(())
}

/// An Observation of about 5 KB whose size is in coded components.
fn observation(with_free_text: bool) -> Vec<u8> {
    let component = r#"{"code":{"coding":[{"system":"http://loinc.org","code":"8480-6"}]},"valueQuantity":{"value":120.50,"unit":"mmHg","system":"http://unitsofmeasure.org","code":"mm[Hg]"}}"#;
    let components = vec![component; 28].join(",");
    let text = if with_free_text {
        r#""text":{"status":"generated","div":"<div xmlns=\"http://www.w3.org/1999/xhtml\">Blood pressure</div>"},"note":[{"text":"measured sitting"}],"#
    } else {
        ""
    };
    format!(r#"{{"resourceType":"Observation",{text}"status":"final","component":[{components}]}}"#)
        .into_bytes()
}

use fhir_models::definition::*;
use std::collections::BTreeMap;
fn main() {
    let out = std::env::args().nth(1).unwrap();
    for spec in std::env::args().skip(2) {
        let package = Package::open(&spec, None, &PackageLimits::default()).unwrap();
        let builder = PackBuilder::of_package(&package, Keeping::Slim, || {}).unwrap();
        let bytes = builder.finish().unwrap();
        let file = format!("{out}/{}.pack", package.manifest.name);
        std::fs::write(&file, &bytes).unwrap();
        let t = std::time::Instant::now();
        let pack = Pack::open(bytes).unwrap();
        println!("open {:?}", t.elapsed());
        pack.verify().unwrap();
        let mut n: BTreeMap<String, (usize, usize)> = BTreeMap::new();
        for e in pack.entries() { let x = n.entry(e.resource_type.to_string()).or_default(); x.0 += 1; x.1 += pack.text(e.number).unwrap().len(); }
        println!("{file} {} {:?}", pack.size(), n);
        std::fs::write(format!("{out}/Patient.json"), pack.find("StructureDefinition","http://hl7.org/fhir/StructureDefinition/Patient",None).map(|i|pack.text(i).unwrap()).unwrap_or_default()).unwrap();
    }
}

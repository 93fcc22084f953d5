use fhir_models::definition::*;
use std::time::Instant;
fn rss()->String{ std::fs::read_to_string("/proc/self/status").unwrap().lines().filter(|l|l.starts_with("VmHWM")).collect() }
fn main(){
 println!("start {}", rss());
 let t=Instant::now(); let d=Definitions::r4(); println!("open all packs {:?} {}", t.elapsed(), rss());
 let t=Instant::now(); let s=d.structure("Patient").unwrap(); println!("first Patient {:?} {} elements", t.elapsed(), s.elements.len());
 let t=Instant::now(); let _=d.structure("Patient").unwrap(); println!("second Patient {:?}", t.elapsed());
 let t=Instant::now(); println!("{} {:?}", d.is_resource("Patient"), t.elapsed());
 let t=Instant::now(); let mut q=vec!["Patient".to_string()]; let mut seen=std::collections::BTreeSet::new(); let mut vs=0;
 while let Some(n)=q.pop(){ if !seen.insert(n.clone()){continue} let Some(s)=d.structure(&n) else{continue}; for e in &s.elements{ for ty in &e.types{ if !seen.contains(&ty.code) && !d.is_resource(&ty.code) {q.push(ty.code.clone());} } if let Some(b)=&e.binding { if b.strength==BindingStrength::Required { if let Some(v)=&b.value_set { d.value_set(v); vs+=1; } } } } }
 println!("Patient closure: {} structures {} bindings {:?} {}", seen.len(), vs, t.elapsed(), rss());
 let v=d.value_set("http://hl7.org/fhir/ValueSet/administrative-gender|4.0.1").unwrap();
 let t=Instant::now(); for _ in 0..1000{ std::hint::black_box(v.membership(None, std::hint::black_box("female"))); } println!("membership {:?}/1000", t.elapsed());
 let t=Instant::now(); for _ in 0..1000{ std::hint::black_box(d.structure(std::hint::black_box("http://hl7.org/fhir/StructureDefinition/Patient"))); } println!("lookup {:?}/1000", t.elapsed());
 let t=Instant::now(); for u in d.canonicals("StructureDefinition"){ d.structure(&u);} println!("all structures {:?} {}", t.elapsed(), rss());
}

use fhir_models::definition::*;
fn main(){ std::fs::write("/tmp/names.txt", names_of(&built_in_packs()[0]).unwrap()).unwrap();
 let d=Definitions::r4(); let mut un=vec![]; let mut n=0;
 let mut seen=std::collections::BTreeSet::new();
 for u in d.canonicals("StructureDefinition") { let s=match d.try_structure(&u){Ok(Some(s))=>s,e=>{println!("{u} {e:?}");continue}};
  if !s.url.contains("hl7.org/fhir/StructureDefinition") || s.context.len()>0 {continue}
  if s.elements.is_empty() {println!("no snapshot {u}");}
  for e in &s.elements { if let Some(b)=&e.binding { if b.strength==BindingStrength::Required { let v=b.value_set.clone().unwrap_or_default(); if seen.insert(v.clone()) { n+=1; match d.try_value_set(&v){Ok(Some(x)) if x.is_enumerable()=>(), Ok(Some(x))=>un.push((v,format!("open {:?}",x.systems().collect::<Vec<_>>()))), e=>un.push((v,format!("{e:?}")))} } } } } }
 println!("{n} required, not enumerable:"); for u in un {println!("  {u:?}")}
 let mut c=(0,0,0); for u in d.canonicals("ValueSet"){ match d.try_value_set(&u){Ok(Some(v))=>if v.is_enumerable(){c.0+=1}else{c.1+=1}, e=>{c.2+=1;println!("{u} {e:?}")}} } println!("all vs: {c:?}");
 for u in d.canonicals("CodeSystem"){ if d.code_system(&u).is_none(){println!("{u}")} }
 for t in d.type_names(){ if d.search_parameters(t).is_empty() && d.is_resource(t){println!("no sp {t}")} }
 println!("{} patient sps, {:?}", d.search_parameters("Patient").len(), d.compartment("Patient").map(|c|c.parameters("Observation").to_vec()));
 println!("{:?} {:?}", d.system_of_identifier("urn:oid:2.16.840.1.113883.6.1"), d.system_of_identifier("urn:oid:2.16.840.1.113883.6.96"));
 println!("{}", d.type_names().count());
}

// Original file: snapshots.proto


export interface Info {
  'name'?: (string);
  'parent'?: (string);
  'labels'?: ({[key: string]: string});
}

export interface Info__Output {
  'name': (string);
  'parent': (string);
  'labels': ({[key: string]: string});
}

// Original file: enbi.proto


export interface StatusRequest {
  'watch'?: (boolean);
}

export interface StatusRequest__Output {
  'watch': (boolean);
}
